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
