# SPDX-License-Identifier: MIT
# ttt_add_kernels(target INSTRUCTION_SET... [OPTIONS option...]): compiles the kernels of ttt once for each instruction
# set (x86-64-v2, x86-64-v3, x86-64-v4, x86-64-v4+avx512bf16, in any order) into `target`, which takes the strongest that
# its processor has when it runs: see ttt/dispatch/kernels.hpp.
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
  ttt_kernels_sets(instruction_sets "${target}" "${kernels_UNPARSED_ARGUMENTS}")
  set(folder "${CMAKE_CURRENT_BINARY_DIR}/ttt_kernels/${target}")
  set(declarations "")
  set(entries "")
  foreach(instruction_set IN LISTS instruction_sets)
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
  file(CONFIGURE OUTPUT "${folder}/available.cpp" @ONLY CONTENT [=[
// SPDX-License-Identifier: MIT
#include <cpuid.h>

#include <ttt/dispatch/kernels.hpp>
@declarations@
// What __builtin_cpu_supports has no names for with every compiler: MOVBE and F16C, LZCNT.
[[maybe_unused]] static bool has_rest_of_x86_64_v3() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_MOVBE) && (ecx & bit_F16C) &&
         __get_cpuid(0x80000001, &eax, &ebx, &ecx, &edx) && (ecx & bit_LZCNT);
}

const ttt::dispatch::AvailableKernels* ttt::dispatch::available_kernels(std::size_t& size) {
  static const AvailableKernels all[] = {
@entries@  };
  size = sizeof(all) / sizeof(all[0]);
  return all;
}
]=])
  target_sources(${target} PRIVATE "${folder}/available.cpp")
endfunction()

# Sets `variable` to the instruction sets that were asked for, each once, the weakest first.
function(ttt_kernels_sets variable target asked)
  set(known x86-64-v2 x86-64-v3 x86-64-v4 x86-64-v4+avx512bf16)
  list(JOIN known ", " expected)
  if(NOT TARGET "${target}")
    message(FATAL_ERROR "ttt_add_kernels: target: expected the name of a target, found '${target}'")
  endif()
  if(NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
    message(FATAL_ERROR "ttt_add_kernels(${target}): expected CMAKE_SYSTEM_PROCESSOR to be x86_64, found "
                        "'${CMAKE_SYSTEM_PROCESSOR}'")
  endif()
  if(NOT asked)
    message(FATAL_ERROR "ttt_add_kernels(${target}): INSTRUCTION_SET: expected at least one of ${expected}, found none")
  endif()
  foreach(instruction_set IN LISTS asked)
    if(NOT instruction_set IN_LIST known)
      message(FATAL_ERROR "ttt_add_kernels(${target}): INSTRUCTION_SET: expected ${expected}, found '${instruction_set}'")
    endif()
  endforeach()
  set(sorted "")
  foreach(instruction_set IN LISTS known)
    if(instruction_set IN_LIST asked)
      list(APPEND sorted "${instruction_set}")
    endif()
  endforeach()
  set(${variable} "${sorted}" PARENT_SCOPE)
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

# How a program asks its processor; older compilers, and clang 16, know neither the names of the levels nor those of all
# that v3 has.
function(ttt_kernels_condition variable instruction_set)
  set(features_x86-64-v2 sse3 ssse3 sse4.1 sse4.2 popcnt)
  set(features_x86-64-v3 ${features_x86-64-v2} avx avx2 fma bmi bmi2)
  set(features_x86-64-v4 ${features_x86-64-v3} avx512f avx512bw avx512cd avx512dq avx512vl)
  set(features_x86-64-v4+avx512bf16 ${features_x86-64-v4} avx512bf16)
  set(asked ${features_${instruction_set}})
  list(TRANSFORM asked REPLACE "(.+)" "__builtin_cpu_supports(\"\\1\") != 0")
  if(NOT instruction_set STREQUAL "x86-64-v2")
    list(APPEND asked "has_rest_of_x86_64_v3()")
  endif()
  list(JOIN asked " && " condition)
  set(${variable} "${condition}" PARENT_SCOPE)
endfunction()
