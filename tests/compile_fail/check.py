#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check.py SOURCE COMPILER FLAGS...: the source compiles as it stands, and with -DTTT_BROKEN fails with its messages.

Lines `// expect: TEXT` of the source hold texts that the compiler's output, of at most 25 lines, must contain; a line
`// flags: FLAGS` holds flags that the broken variant is compiled with on top.
Compiling the sound variant first shows that the failure comes from the lines under TTT_BROKEN, or from the flags, and
not from a missing header.
"""
import re
import subprocess
import sys

MOST_LINES = 25  # a message behind a wall of text is not read


def main():
    source, command = sys.argv[1], sys.argv[2:]
    text = open(source, encoding="utf-8").read()
    expected = re.findall(r"^// expect: (.+)$", text, re.MULTILINE)
    flags = " ".join(re.findall(r"^// flags: (.+)$", text, re.MULTILINE)).split()
    if not expected:
        return f"{source}: has no line '// expect: TEXT'"
    sound = subprocess.run([*command, source], capture_output=True, text=True)
    if sound.returncode != 0:
        return f"{source}: does not compile without TTT_BROKEN:\n{sound.stderr}"
    broken = subprocess.run([*command, "-DTTT_BROKEN", *flags, source], capture_output=True, text=True)
    if broken.returncode == 0:
        return f"{source}: compiles with TTT_BROKEN, but must not"
    for text in expected:
        if text not in broken.stderr:
            return f"{source}: the compiler does not say '{text}':\n{broken.stderr}"
    lines = broken.stderr.count("\n")
    if lines > MOST_LINES:
        return f"{source}: the compiler needs {lines} lines to say it, expected at most {MOST_LINES}"
    print(f"{source}: {len(expected)} messages checked")


if __name__ == "__main__":
    sys.exit(main())
