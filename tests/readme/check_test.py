#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every rule about the documents is seen to pass sound ones and to catch each way of breaking them."""
import subprocess
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
from check import CHECKS, README_LINES  # noqa: E402

PROGRAM = '// first.cpp\n#include <cstdio>\nint main() { std::puts("step 1: loss 2.0\\nstep 2: loss 0.5"); }\n'
README = f"""# Reader
A layer ([more](bench/README.md#how-to-run-it), ![picture](bench/chart.svg), [outside](https://example.org/#x)), `bench/run.sh`.

```cpp
{PROGRAM}```

```sh
g++ first.cpp -o first   # a comment
./first && test -z "$NOTHING" \\
  && ttt-lm
bash bench/run.sh
cmake --preset dev && true
```

```cmake
add_executable(first first.cpp)
```
"""
SOUND = {
    "README.md": README,
    "bench/README.md": "# Bench\n\n## How to run it\n\nSee [the top](../README.md), `<ttt/ttt.hpp>`.\n\n    only shown\n",
    "bench/run.sh": "exit 1\n",
    "bench/chart.svg": "<svg/>\n",
    "include/ttt/ttt.hpp": "\n",
    "CMakePresets.json": '{"configurePresets": [{"name": "dev"}], "buildPresets": [{"name": "dev"}]}\n',
    "ttt-lm": "#!/bin/sh\nexit 0\n",
}

# Check, file, text to replace, its replacement, a text of the message.
BROKEN = [
    ("length", "README.md", "# Reader\n", "# Reader\n" * README_LINES, "lines, at most"),
    ("links", "README.md", "bench/chart.svg", "bench/other.svg", "no such file"),
    ("links", "README.md", "#how-to-run-it", "#how", "no such heading"),
    ("links", "bench/README.md", "../README.md", "README2.md", "no such file"),
    ("paths", "README.md", "`bench/run.sh`", "`bench/go.sh`", "not there"),
    ("paths", "bench/README.md", "<ttt/ttt.hpp>", "ttt/layers/x.hpp", "not there"),
    ("blocks", "README.md", "```sh\n", "```console\n", "no language"),
    ("blocks", "README.md", "```sh\n", "```\n", "no test runs"),
    ("blocks", "README.md", "```sh\n", "    ls\n\n```sh\n", "no test runs"),
    ("extract", "README.md", "// first.cpp\n", "", "begins with its name"),
    ("extract", "README.md", "int main()", "int start()", "is a program"),
    ("extract", "bench/README.md", "    only shown\n", f"```cpp\n{PROGRAM}```\n", "also the name"),
    ("commands", "README.md", "int main()", "int start()", "g++ first.cpp"),
    ("commands", "README.md", "&& ttt-lm", "&& ttt-lmm", "exit code 127"),
    ("commands", "README.md", "bash bench/run.sh", "bash bench/walk.sh", "walk.sh"),
    ("commands", "bench/run.sh", "exit 1", "if exit 1", "syntax error"),
    ("commands", "README.md", "--preset dev", "--preset deb", "no preset deb"),
    ("commands", "README.md", "add_executable(first first.cpp)", "add_executable(first second.cpp)", "cmake block"),
]


def write(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (root / "ttt-lm").chmod(0o755)


def messages(check, root, work):
    """What a check has to say; nothing when it passes."""
    if check in CHECKS:
        count, errors = CHECKS[check](root)
        return "\n".join(errors if count else ["no cases"])
    arguments = {"extract": [root, work / "programs"], "commands": [root, root / "README.md", work / "run", root / "ttt-lm"]}
    done = subprocess.run([sys.executable, "-B", HERE / f"{check}.py", *arguments[check]], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return done.stdout if done.returncode else ""


def loss_falls(output, code=0):
    return subprocess.run([sys.executable, "-B", HERE / "loss_falls.py", "sh", "-c", f"echo '{output}'; exit {code}"],
                          capture_output=True).returncode == 0


def main():
    failures = []
    for check in (*CHECKS, "extract", "commands"):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve() / "tree"
            write(root, SOUND)
            if said := messages(check, root, root.parent):
                failures.append(f"{check} refuses what is sound: {said}")
    for check, name, old, new, expected in BROKEN:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder).resolve() / "tree"
            assert old in SOUND[name], (name, old)
            write(root, SOUND | {name: SOUND[name].replace(old, new)})
            if expected not in (said := messages(check, root, root.parent)):
                failures.append(f"{check}, {name} with '{new[:40]}': expected '{expected}', found '{said}'")
    for output, code, expected in [("loss 2 loss: 0.9", 0, True), ("loss 2 loss 1.1", 0, False), ("loss 2 loss nan", 0, False),
                                   ("loss 2 loss 0.9", 1, False), ("loss 0.1", 0, False), ("", 0, False)]:
        if loss_falls(output, code) != expected:
            failures.append(f"loss_falls: '{output}' with exit code {code} should {'pass' if expected else 'fail'}")
    for failure in failures:
        print(failure, file=sys.stderr)
    print(f"readme/check: {len(BROKEN)} ways of breaking a document, {len(failures)} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
