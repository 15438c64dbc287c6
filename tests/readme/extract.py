#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""extract.py MARKDOWN FOLDER: writes each ```cpp block that has a main to FOLDER/program_<n>.cpp and prints the names."""
import re
import sys
from pathlib import Path


def main():
    text, folder = Path(sys.argv[1]).read_text(encoding="utf-8"), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    programs = [block for block in re.findall(r"^```cpp\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
                if "int main(" in block]
    for number, block in enumerate(programs, start=1):
        target = folder / f"program_{number}.cpp"
        # Unchanged text keeps its time stamp, so that nothing is compiled again.
        if not target.exists() or target.read_text(encoding="utf-8") != block:
            target.write_text(block, encoding="utf-8")
        print(target)
    return 0 if programs else f"{sys.argv[1]}: has no ```cpp block with a main"


if __name__ == "__main__":
    sys.exit(main())
