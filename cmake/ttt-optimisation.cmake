# SPDX-License-Identifier: MIT
# Warns a project that uses ttt and is compiled without optimisation, a hundred times slower, by no decision of its own:
# CMAKE_BUILD_TYPE is empty by default. Looks when the project's last line is read, as it may set it until then. Set
# TTT_ALLOW_UNOPTIMISED where the options come in another way than through CMAKE_CXX_FLAGS or add_compile_options.
function(ttt_warn_unoptimised)
  get_property(is_multi_config GLOBAL PROPERTY GENERATOR_IS_MULTI_CONFIG)
  get_directory_property(options COMPILE_OPTIONS)
  set(flags "${CMAKE_CXX_FLAGS};${options}")
  if(is_multi_config OR CMAKE_BUILD_TYPE OR TTT_ALLOW_UNOPTIMISED OR flags MATCHES "(^|[ ;])-O")
    return()
  endif()
  message(WARNING "ttt: CMAKE_BUILD_TYPE is empty, so that programs are compiled without optimisation and run a hundred "
                  "times slower. Configure with -DCMAKE_BUILD_TYPE=Release, or set TTT_ALLOW_UNOPTIMISED to ON.")
endfunction()

get_property(ttt_warns_unoptimised GLOBAL PROPERTY ttt_warns_unoptimised)
if(NOT ttt_warns_unoptimised)
  set_property(GLOBAL PROPERTY ttt_warns_unoptimised ON)
  cmake_language(DEFER DIRECTORY "${CMAKE_SOURCE_DIR}" CALL ttt_warn_unoptimised)
endif()
