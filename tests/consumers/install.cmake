# SPDX-License-Identifier: MIT
# Installs where only Eigen and xsimd are: examples that need more are left out, tests and benchmarks say how to leave
# them out, and the package says which components it has not.
set(work "${ttt_binary}/consumers/install")
file(REMOVE_RECURSE "${work}")
set(missing "")
foreach(package IN ITEMS CLI11 nlohmann_json Catch2 benchmark)
  list(APPEND missing "-DCMAKE_DISABLE_FIND_PACKAGE_${package}=ON")
endforeach()

# Configures `source` and sets `output` to everything that CMake says.
function(configure source name expected_result)
  execute_process(COMMAND "${CMAKE_COMMAND}" -S "${source}" -B "${work}/${name}" -G "${generator}"
    "-DCMAKE_CXX_COMPILER=${compiler}" ${ARGN} OUTPUT_VARIABLE text ERROR_VARIABLE text RESULT_VARIABLE result)
  if(NOT "${result}" STREQUAL "${expected_result}")
    message(FATAL_ERROR "${name}: expected exit code ${expected_result}, found ${result}: ${text}")
  endif()
  string(REGEX REPLACE "[ \n]+" " " text "${text}")
  set(output "${text}" PARENT_SCOPE)
endfunction()

function(expect words)
  string(FIND "${output}" "${words}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "expected '${words}', found: ${output}")
  endif()
endfunction()

configure("${ttt_source}" tests 1 ${missing} -DTTT_BUILD_BENCHMARKS=OFF)
expect("TTT_BUILD_TESTS needs nlohmann-json")
expect("-DTTT_BUILD_TESTS=OFF")
configure("${ttt_source}" benchmarks 1 ${missing} -DTTT_BUILD_TESTS=OFF)
expect("-DTTT_BUILD_BENCHMARKS=OFF")
configure("${ttt_source}" library 0 ${missing} -DTTT_BUILD_TESTS=OFF -DTTT_BUILD_BENCHMARKS=OFF)
expect("ttt-lm is not built")
expect("libcli11-dev")

execute_process(COMMAND "${CMAKE_COMMAND}" --install "${work}/library" --prefix "${work}/prefix"
  OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
configure("${ttt_source}/tests/consumers/components" components 0 "-Dttt_prefix=${work}/prefix")
expect("ttt has no component nosuch, only loaders, openmp, tbb, blas")
