# SPDX-License-Identifier: MIT
# Finds each dependency, or fetches it, or says what to install. A target that the enclosing project already has is used.
include(FetchContent)

function(ttt_missing name package found)
  message(FATAL_ERROR "ttt needs ${name}, ${found}. Install the Debian package ${package} "
                      "(sudo apt-get install ${package}), or configure with -DTTT_FETCH_DEPENDENCIES=ON.")
endfunction()

# What `option` switches on needs the dependency; using and installing the library does not.
function(ttt_missing_for option name package)
  message(FATAL_ERROR "${option} needs ${name}, which is not installed. Install the Debian package ${package} "
                      "(sudo apt-get install ${package}), or configure with -DTTT_FETCH_DEPENDENCIES=ON, or without: "
                      "-D${option}=OFF.")
endfunction()

# Populates `name` without reading its CMakeLists.txt: neither its options nor its install rules reach this project.
# Sets `name`_SOURCE_DIR in the caller.
macro(ttt_fetch_headers name repository tag)
  message(STATUS "ttt: fetching ${name} ${tag}")
  FetchContent_Declare(${name} GIT_REPOSITORY ${repository} GIT_TAG ${tag} GIT_SHALLOW TRUE
    SOURCE_SUBDIR this-folder-does-not-exist)
  FetchContent_MakeAvailable(${name})
endmacro()

function(ttt_imported_headers target directory)
  if(NOT TARGET ${target})
    add_library(${target} INTERFACE IMPORTED GLOBAL)
  endif()
  set_target_properties(${target} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${directory}")
endfunction()

# The folder below which a dependency's headers are, as /usr/include/eigen3 is for Eigen/Core.
function(ttt_include_directory variable target header)
  get_target_property(directories ${target} INTERFACE_INCLUDE_DIRECTORIES)
  find_path(directory "${header}" HINTS ${directories} NO_CACHE REQUIRED)
  string(REGEX REPLACE "/$" "" directory "${directory}")
  set(${variable} "${directory}" PARENT_SCOPE)
endfunction()

# The version is compared by hand: version files of Eigen 3 refuse to be Eigen 5 and the other way round.
macro(ttt_require_eigen)
  if(NOT TARGET Eigen3::Eigen)
    find_package(Eigen3 CONFIG QUIET)
    if(Eigen3_FOUND AND Eigen3_VERSION VERSION_GREATER_EQUAL 3.4)
      message(STATUS "ttt: Eigen ${Eigen3_VERSION}")
    elseif(TTT_FETCH_DEPENDENCIES)
      ttt_fetch_headers(eigen https://gitlab.com/libeigen/eigen.git 3.4.0)
      ttt_imported_headers(Eigen3::Eigen "${eigen_SOURCE_DIR}")
    elseif(Eigen3_FOUND)
      ttt_missing("Eigen 3.4 or newer" libeigen3-dev "found ${Eigen3_VERSION} in ${Eigen3_DIR}")
    else()
      ttt_missing("Eigen 3.4 or newer" libeigen3-dev "which is not installed")
    endif()
  endif()
endmacro()

macro(ttt_require_xsimd)
  if(NOT TARGET xsimd)
    find_package(xsimd CONFIG QUIET)
    if(xsimd_FOUND AND xsimd_VERSION VERSION_GREATER_EQUAL 8)
      message(STATUS "ttt: xsimd ${xsimd_VERSION}")
    elseif(TTT_FETCH_DEPENDENCIES)
      ttt_fetch_headers(xsimd https://github.com/xtensor-stack/xsimd.git 13.2.0)
      ttt_imported_headers(xsimd "${xsimd_SOURCE_DIR}/include")
    elseif(xsimd_FOUND)
      ttt_missing("xsimd 8 or newer" libxsimd-dev "found ${xsimd_VERSION} in ${xsimd_DIR}")
    else()
      ttt_missing("xsimd 8 or newer" libxsimd-dev "which is not installed")
    endif()
  endif()
  include("${PROJECT_SOURCE_DIR}/cmake/ttt-xsimd.cmake")
endmacro()

# Wanted always, needed by tests only.
macro(ttt_find_json)
  if(NOT TARGET nlohmann_json::nlohmann_json)
    find_package(nlohmann_json CONFIG QUIET)
    if(NOT nlohmann_json_FOUND)
      if(TTT_FETCH_DEPENDENCIES)
        ttt_fetch_headers(nlohmann_json https://github.com/nlohmann/json.git v3.11.3)
        ttt_imported_headers(nlohmann_json::nlohmann_json "${nlohmann_json_SOURCE_DIR}/include")
      elseif(TTT_BUILD_TESTS)
        ttt_missing_for(TTT_BUILD_TESTS nlohmann-json nlohmann-json3-dev)
      endif()
    endif()
  endif()
endmacro()

# Needed by one example only.
macro(ttt_find_cli11)
  if(NOT TARGET CLI11::CLI11)
    find_package(CLI11 CONFIG QUIET)
    if(NOT CLI11_FOUND AND TTT_FETCH_DEPENDENCIES)
      ttt_fetch_headers(cli11 https://github.com/CLIUtils/CLI11.git v2.4.2)
      ttt_imported_headers(CLI11::CLI11 "${cli11_SOURCE_DIR}/include")
    endif()
  endif()
endmacro()

# Version 2 is headers only, version 3 a library; tests/support/catch.hpp hides the difference.
macro(ttt_require_catch)
  if(NOT TARGET Catch2::Catch2)
    find_package(Catch2 CONFIG QUIET)
    if(NOT Catch2_FOUND)
      if(TTT_FETCH_DEPENDENCIES)
        FetchContent_Declare(catch2 GIT_REPOSITORY https://github.com/catchorg/Catch2.git GIT_TAG v3.7.1 GIT_SHALLOW TRUE)
        FetchContent_MakeAvailable(catch2)
      else()
        ttt_missing_for(TTT_BUILD_TESTS Catch2 catch2)
      endif()
    endif()
  endif()
endmacro()

macro(ttt_require_benchmark)
  if(NOT TARGET benchmark::benchmark_main)
    find_package(benchmark CONFIG QUIET)
    if(NOT benchmark_FOUND)
      if(TTT_FETCH_DEPENDENCIES)
        set(BENCHMARK_ENABLE_TESTING OFF)
        set(BENCHMARK_ENABLE_INSTALL OFF)
        set(BENCHMARK_ENABLE_WERROR OFF)
        FetchContent_Declare(benchmark GIT_REPOSITORY https://github.com/google/benchmark.git GIT_TAG v1.9.1
          GIT_SHALLOW TRUE)
        FetchContent_MakeAvailable(benchmark)
      else()
        ttt_missing_for(TTT_BUILD_BENCHMARKS "Google Benchmark" libbenchmark-dev)
      endif()
    endif()
  endif()
endmacro()

macro(ttt_require_python)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(NOT Python3_FOUND)
    ttt_missing_for(TTT_BUILD_TESTS "Python 3" python3)
  endif()
endmacro()
