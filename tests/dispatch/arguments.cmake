# SPDX-License-Identifier: MIT
# Configures the project in arguments/ with good and bad arguments, from nothing.
file(REMOVE_RECURSE "${work}")
set(cases 0)

# Configures with the arguments of ttt_add_kernels, and CMAKE_SYSTEM_PROCESSOR replaced where `processor` is not empty;
# sets `found` to the errors, empty if there are none.
function(configure arguments processor)
  execute_process(COMMAND "${CMAKE_COMMAND}" -S "${CMAKE_CURRENT_LIST_DIR}/arguments" -B "${work}" -G "${generator}"
    "-DCMAKE_CXX_COMPILER=${compiler}" "-Dttt_source=${ttt_source}" "-Darguments=${arguments}" "-Dprocessor=${processor}"
    RESULT_VARIABLE code OUTPUT_QUIET ERROR_VARIABLE errors)
  string(REGEX REPLACE "[ \n]+" " " errors "${errors}")  # cmake breaks lines where they are full
  if(code EQUAL 0)
    set(errors "")
  endif()
  set(found "${errors}" PARENT_SCOPE)
  math(EXPR cases "${cases} + 1")
  set(cases ${cases} PARENT_SCOPE)
endfunction()

macro(expect_error arguments processor text)
  configure("${arguments}" "${processor}")
  string(FIND "${found}" "${text}" place)
  if(place EQUAL -1)
    message(FATAL_ERROR "ttt_add_kernels(${arguments}): expected the error '${text}', found '${found}'")
  endif()
endmacro()

macro(expect_order arguments)
  configure("${arguments}" "")
  if(found)
    message(FATAL_ERROR "ttt_add_kernels(${arguments}): expected no error, found '${found}'")
  endif()
  file(READ "${work}/ttt_kernels/program/available.cpp" available)
  string(REGEX MATCHALL "{&ttt_kernels_[a-z0-9_]+" order "${available}")
  list(TRANSFORM order REPLACE "{&ttt_kernels_x86_64_" "")
  if(NOT "${order}" STREQUAL "${ARGN}")
    message(FATAL_ERROR "ttt_add_kernels(${arguments}): expected the order '${ARGN}', found '${order}'")
  endif()
endmacro()

set(sets "x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4+avx512bf16")
expect_error("program" "" "ttt_add_kernels(program): INSTRUCTION_SET: expected at least one of ${sets}, found none")
expect_error("program OPTIONS -O0" "" "INSTRUCTION_SET: expected at least one of ${sets}, found none")
expect_error("program x86-64-v3 avx2" "" "ttt_add_kernels(program): INSTRUCTION_SET: expected ${sets}, found 'avx2'")
expect_error("progam x86-64-v3" "" "ttt_add_kernels: target: expected the name of a target, found 'progam'")
expect_error("program x86-64-v3" aarch64
  "ttt_add_kernels(program): expected CMAKE_SYSTEM_PROCESSOR to be x86_64, found 'aarch64'")
expect_order("program x86-64-v3 x86-64-v4" v3 v4)
expect_order("program x86-64-v4 x86-64-v3" v3 v4)
expect_order("program x86-64-v4+avx512bf16 x86-64-v2 x86-64-v4 x86-64-v2" v2 v4 v4_avx512bf16)
message(STATUS "dispatch/arguments: ${cases} cases")
