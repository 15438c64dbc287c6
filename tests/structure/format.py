#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The C++ sources are what clang-format 14 makes of them; other versions lay out a few lines otherwise.

python3 tests/structure/format.py ROOT. Exits with 77, skipped, where that version is not installed.
"""
import re
import shutil
import subprocess
import sys
from pathlib import Path

FOLDERS = ["include", "tests", "bench", "examples"]


def formatter():
    for name in ["clang-format-14", "clang-format"]:
        path = shutil.which(name)
        if path and re.search(r"version 14\.", subprocess.run([path, "--version"], capture_output=True, text=True).stdout):
            return path
    return None


def main():
    root, tool = Path(sys.argv[1]), formatter()
    if not tool:
        print("skipped: clang-format 14 is not installed")
        return 77
    sources = sorted(path for folder in FOLDERS for path in (root / folder).rglob("*.[ch]pp"))
    result = subprocess.run([tool, "--dry-run", "-Werror", *map(str, sources)], capture_output=True, text=True)
    broken = sorted(set(re.findall(r"^(.+?):\d+:\d+: error", result.stderr, re.MULTILINE)))
    for name in broken:
        print(f"{name}: not what clang-format -i makes of it", file=sys.stderr)
    print(f"structure/format: {len(sources)} cases, {len(broken)} broken")
    return 1 if result.returncode or not sources else 0


if __name__ == "__main__":
    sys.exit(main())
