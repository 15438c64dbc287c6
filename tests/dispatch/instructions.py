#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""instructions.py OBJDUMP NAME WITH WITHOUT: the code of WITH has the instruction, that of WITHOUT does not."""
import subprocess
import sys


def count(objdump, name, file):
    output = subprocess.run([objdump, "-d", "--no-show-raw-insn", file], check=True, capture_output=True, text=True)
    return sum(line.split()[1:2] == [name] for line in output.stdout.splitlines())


def main():
    objdump, name, with_it, without = sys.argv[1:]
    found, others = count(objdump, name, with_it), count(objdump, name, without)
    if found == 0:
        sys.exit(f"{with_it}: expected {name}, found none")
    if others:
        sys.exit(f"{without}: expected no {name}, found {others}")
    print(f"{found} times {name}")


main()
