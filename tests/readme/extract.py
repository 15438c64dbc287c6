#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""extract.py ROOT FOLDER: writes each ```cpp block of each document to FOLDER/<name>.cpp and prints the paths.

A block is a whole program and begins with its name in a comment, `// first.cpp`.
"""
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from markdown import blocks, documents, program_name  # noqa: E402


def main():
    root, folder = Path(sys.argv[1]), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    seen = {}
    for document in documents(root):
        for language, block in blocks(document.read_text(encoding="utf-8")):
            if language != "cpp":
                continue
            name = program_name(block)
            if not name or "int main(" not in block:
                return f"{document}: a ```cpp block is a program that begins with its name, '// first.cpp': {block[:60]}"
            if name in seen:
                return f"{document}: {name} is also the name of a program in {seen[name]}"
            seen[name] = document
            # Unchanged text keeps its time stamp, so that nothing is compiled again.
            target = folder / name
            if not target.exists() or target.read_text(encoding="utf-8") != block:
                target.write_text(block, encoding="utf-8")
            print(target)
    return 0 if seen else f"{root}: has no ```cpp block"


if __name__ == "__main__":
    sys.exit(main())
