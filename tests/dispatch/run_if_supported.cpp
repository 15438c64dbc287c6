// SPDX-License-Identifier: MIT
// run_if_supported PROGRAM [argument...]: becomes PROGRAM where the processor has x86-64-v4, else says so and leaves
// with `skipped`. A program of its own, because one compiled for that level may fail before its main.
#include <unistd.h>

#include <cstdio>

int main(int count, char** arguments) {
  constexpr int skipped = 77, failed = 1;
  if (count < 2) {
    std::fputs("expected the program to run\n", stderr);
    return failed;
  }
  const bool supported = __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
                         __builtin_cpu_supports("avx512cd") != 0 && __builtin_cpu_supports("avx512dq") != 0 &&
                         __builtin_cpu_supports("avx512vl") != 0;
  if (!supported) {
    std::printf("not tested: this processor does not run x86-64-v4, which %s is compiled for\n", arguments[1]);
    return skipped;
  }
  execv(arguments[1], arguments + 1);
  std::perror(arguments[1]);
  return failed;
}
