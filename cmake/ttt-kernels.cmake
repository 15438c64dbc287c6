# SPDX-License-Identifier: MIT
# ttt_add_kernels(target INSTRUCTION_SET... [OPTIONS option...]): compiles the kernels of ttt once for each instruction
# set (x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4+avx512bf16; weakest first) into `target`, which chooses among them when
# it runs: see ttt/dispatch/kernels.hpp.
#
# All targets of a build share the unit of an instruction set, compiled with the options of the directory that asked for
# it first; a target that gives compile options has units of its own.
#
# A unit's functions must never serve the rest of the program, where they would be illegal instructions on an older
# processor, and most are inline functions and templates that a linker would merge with those of other units. So each
# unit is linked by itself first, its groups dissolved, and everything but its table made local.
function(ttt_add_kernels target)
  ttt_gnu_linker(linker)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "GNU|Clang" OR NOT CMAKE_OBJCOPY OR NOT linker OR APPLE)
    message(FATAL_ERROR "ttt_add_kernels needs g++ or clang with GNU ld and objcopy, found ${CMAKE_CXX_COMPILER_ID}, "
                        "linker '${CMAKE_LINKER}', objcopy '${CMAKE_OBJCOPY}'")
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 kernels "" "" OPTIONS)
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/ttt_kernels/${target}")
  set(declarations "")
  set(entries "")
  foreach(instruction_set IN LISTS kernels_UNPARSED_ARGUMENTS)
    ttt_kernels_condition(condition "${instruction_set}")
    string(MAKE_C_IDENTIFIER "ttt_kernels_${instruction_set}" symbol)
    ttt_kernels_unit(unit "${symbol}" "${instruction_set}" "${target}" "${kernels_OPTIONS}")
    set(object "${folder}/${instruction_set}.o")
    add_custom_command(OUTPUT "${object}" VERBATIM COMMAND_EXPAND_LISTS
      COMMAND "${linker}" -r --force-group-allocation -o "${object}" "$<TARGET_OBJECTS:${unit}>"
      COMMAND "${CMAKE_OBJCOPY}" "--keep-global-symbol=${symbol}" "${object}"
      DEPENDS ${unit} "$<TARGET_OBJECTS:${unit}>")
    target_sources(${target} PRIVATE "${object}")
    set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    string(APPEND declarations "extern \"C\" const ttt::dispatch::KernelTable ${symbol};\n")
    string(APPEND entries "    {&${symbol}, ${condition}},\n")
  endforeach()
  file(CONFIGURE OUTPUT "${folder}/available.cpp" @ONLY CONTENT [[
// SPDX-License-Identifier: MIT
#include <ttt/dispatch/kernels.hpp>
@declarations@
const ttt::dispatch::AvailableKernels* ttt::dispatch::available_kernels(std::size_t& size) {
  static const AvailableKernels all[] = {
@entries@  };
  size = sizeof(all) / sizeof(all[0]);
  return all;
}
]])
  target_sources(${target} PRIVATE "${folder}/available.cpp")
endfunction()

# Sets `variable` to the object library of an instruction set, made where there is none yet.
function(ttt_kernels_unit variable symbol instruction_set target options)
  set(unit "${symbol}")
  if(options)
    set(unit "${target}_${symbol}")
  endif()
  set(${variable} "${unit}" PARENT_SCOPE)
  if(TARGET ${unit})
    return()
  endif()
  set(source "${CMAKE_CURRENT_BINARY_DIR}/ttt_kernels/${instruction_set}.cpp")
  file(CONFIGURE OUTPUT "${source}" @ONLY CONTENT [[
// SPDX-License-Identifier: MIT
#include <ttt/dispatch/unit.hpp>
extern "C" {
extern const ttt::dispatch::KernelTable @symbol@;
constinit const ttt::dispatch::KernelTable @symbol@ = ttt::make_kernel_table("@instruction_set@");
}
]])
  add_library(${unit} OBJECT "${source}")
  target_link_libraries(${unit} PRIVATE ttt::ttt)
  string(REPLACE "+" ";-m" flags "-march=${instruction_set}")
  target_compile_options(${unit} PRIVATE ${flags} ${options} -fno-lto $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
endfunction()

# Sets `variable` to a GNU ld, the only linker that dissolves groups: the one in use, or another where that is lld or
# gold; empty if there is none.
function(ttt_gnu_linker variable)
  find_program(TTT_GNU_LINKER NAMES ld.bfd ld DOC "GNU ld, used where CMAKE_LINKER is another one")
  set(${variable} "" PARENT_SCOPE)
  foreach(linker IN ITEMS "${CMAKE_LINKER}" "${TTT_GNU_LINKER}")
    if(linker)
      execute_process(COMMAND "${linker}" --version OUTPUT_VARIABLE version ERROR_QUIET)
      if(version MATCHES "^GNU ld")
        set(${variable} "${linker}" PARENT_SCOPE)
        return()
      endif()
    endif()
  endforeach()
endfunction()

# How a program asks its processor; older compilers do not know the names of the levels.
function(ttt_kernels_condition variable instruction_set)
  set(features_x86-64-v2 sse4.2 ssse3 popcnt)
  set(features_x86-64-v3 avx2 fma bmi bmi2)
  set(features_x86-64-v4 avx2 fma bmi bmi2 avx512f avx512bw avx512cd avx512dq avx512vl)
  set(features_x86-64-v4+avx512bf16 ${features_x86-64-v4} avx512bf16)
  if(NOT DEFINED features_${instruction_set})
    message(FATAL_ERROR "ttt_add_kernels: unknown instruction set '${instruction_set}', expected x86-64-v2, x86-64-v3, "
                        "x86-64-v4 or x86-64-v4+avx512bf16")
  endif()
  list(TRANSFORM features_${instruction_set} REPLACE "(.+)" "__builtin_cpu_supports(\"\\1\") != 0")
  list(JOIN features_${instruction_set} " && " condition)
  set(${variable} "${condition}" PARENT_SCOPE)
endfunction()
