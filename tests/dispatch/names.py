#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""names.py COMPILER INCLUDE: flags for which the compiler makes other code give the inline namespace another name."""
import itertools
import subprocess
import sys

FLAGS = ["-march=x86-64", "-msse3", "-mssse3", "-msse4.1", "-msse4.2", "-mavx", "-mavx -mfma", "-mavx -mfma4", "-mavx2",
         "-mavx2 -mfma", "-mavx512f", "-march=x86-64-v4", "-march=x86-64-v4 -mavx512bf16"]


def name(compiler, include, flags):
    source = '#include "ttt/core/config.hpp"\nTTT_ABI\n'
    command = [compiler, "-std=c++20", "-march=x86-64", *flags.split(), "-I", include, "-E", "-P", "-x", "c++", "-"]
    return subprocess.run(command, input=source, check=True, capture_output=True, text=True).stdout.split()[-1]


def main():
    compiler, include = sys.argv[1:]
    names = {flags: name(compiler, include, flags) for flags in FLAGS}
    errors = [f"'{a}' and '{b}': expected two names, found {names[a]} for both"
              for a, b in itertools.combinations(FLAGS, 2) if names[a] == names[b]]
    errors += [f"'{flags}': expected a name that begins with v0_, found {found}" for flags, found in names.items()
               if not found.startswith("v0_")]
    if errors:
        sys.exit("\n".join(errors))
    print(f"{len(names)} names: {' '.join(names.values())}")


main()
