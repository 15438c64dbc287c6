#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""symbols.py NM UNIT TABLE PROGRAM: the unit defines TABLE and nothing else that a linker sees, and PROGRAM runs."""
import subprocess
import sys


def defined(nm, file):
    output = subprocess.run([nm, "--defined-only", file], check=True, capture_output=True, text=True).stdout
    return [line.split()[-2:] for line in output.splitlines() if line.strip()]


def main():
    nm, unit, table, program = sys.argv[1:]
    symbols = defined(nm, unit)
    seen = sorted(name for kind, name in symbols if not kind.islower() or kind in "uvw")
    if seen != [table]:
        sys.exit(f"{unit}: expected only {table} to be visible, found {len(seen)} symbols: {seen[:10]}")
    hidden = sum(kind.islower() for kind, _ in symbols)
    if hidden < 100:
        sys.exit(f"{unit}: only {hidden} functions of its own: was it compiled without optimisation?")
    subprocess.run([program], check=True)
    print(f"{hidden} functions are the unit's own, 1 symbol is visible")


main()
