# SPDX-License-Identifier: MIT
# The dependencies are headers only, so the build machine's copies serve a cross-compiler too. But /usr/include itself
# must not come before the cross-compiler's own C library: each dependency gets a folder with one link to its headers,
# as a target that dependencies.cmake takes as it finds it.
foreach(dependency IN ITEMS
    "Eigen3::Eigen eigen3/Eigen Eigen" "xsimd xsimd xsimd" "Catch2::Catch2 catch2/catch.hpp catch2/catch.hpp"
    "nlohmann_json::nlohmann_json nlohmann nlohmann" "CLI11::CLI11 CLI CLI")
  string(REPLACE " " ";" dependency "${dependency}")
  list(GET dependency 0 target)
  list(GET dependency 1 source)
  list(GET dependency 2 link)
  if(EXISTS "/usr/include/${source}")
    string(MAKE_C_IDENTIFIER "${target}" folder)
    cmake_path(APPEND PROJECT_BINARY_DIR cross-headers "${folder}" OUTPUT_VARIABLE folder)
    cmake_path(GET link PARENT_PATH parent)
    file(MAKE_DIRECTORY "${folder}/${parent}")
    file(CREATE_LINK "/usr/include/${source}" "${folder}/${link}" SYMBOLIC)
    add_library(${target} INTERFACE IMPORTED GLOBAL)
    set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${folder}")
  endif()
endforeach()
