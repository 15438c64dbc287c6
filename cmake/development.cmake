# SPDX-License-Identifier: MIT
# What tests, examples and benchmarks of this project share; nothing here reaches a user of ttt::ttt.
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
  endif()
endif()
set(CMAKE_CXX_EXTENSIONS OFF)

add_library(ttt_development INTERFACE)
target_link_libraries(ttt_development INTERFACE ttt)
target_compile_options(ttt_development INTERFACE -Wall -Wextra -Wconversion -Wshadow
  $<$<BOOL:${TTT_WARNINGS_AS_ERRORS}>:-Werror>)
# A tenth less time for a fifth more memory: g++ collects its garbage rarely.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(ttt_development INTERFACE --param=ggc-min-heapsize=1000000)
endif()
# g++ 12 warns of its own headers when it inlines them: AVX-512 intrinsics (uninitialized) and the concatenation of
# strings (restrict); both are fixed in 13.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(ttt_development INTERFACE -Wno-uninitialized -Wno-maybe-uninitialized -Wno-restrict)
  if(CMAKE_CXX_FLAGS MATCHES "-fsanitize")  # of strings again
    target_compile_options(ttt_development INTERFACE -Wno-array-bounds -Wno-stringop-overflow)
  endif()
endif()

# Two hundred programs are linked, each in a third of GNU ld's time.
if(TTT_BUILD_TESTS)
  include(CheckLinkerFlag)
  foreach(linker IN ITEMS lld gold)
    check_linker_flag(CXX "-fuse-ld=${linker}" TTT_LINKS_WITH_${linker})
    if(TTT_LINKS_WITH_${linker})
      target_link_options(ttt_development INTERFACE "-fuse-ld=${linker}")
      break()
    endif()
  endforeach()
endif()

# Kernels, layers and loaders of models, compiled once for all tests; examples and benchmarks link them where they are
# only checked. In other builds these compile their own, as a user does.
set(ttt_links_compiled OFF)
if(TTT_BUILD_TESTS)
  set(support "${PROJECT_SOURCE_DIR}/tests/support")
  add_library(ttt_compiled_kernels STATIC "${support}/compiled_kernels.cpp")
  add_library(ttt_compiled_layers STATIC "${support}/compiled_layers_float.cpp" "${support}/compiled_layers_double.cpp")
  add_library(ttt_compiled_loaders STATIC "${support}/compiled_loaders.cpp")
  target_include_directories(ttt_compiled_kernels PUBLIC "${PROJECT_SOURCE_DIR}/tests")
  target_link_libraries(ttt_compiled_kernels PUBLIC ttt_development)
  target_link_libraries(ttt_compiled_layers PUBLIC ttt_compiled_kernels)
  target_link_libraries(ttt_compiled_loaders PUBLIC ttt_compiled_layers ttt_loaders)
  target_precompile_headers(ttt_compiled_layers PRIVATE "${support}/compiled_layers.hpp")
  if(CMAKE_BUILD_TYPE STREQUAL "Debug")
    set(ttt_links_compiled ON)
  endif()
endif()
