#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""loss_falls.py COMMAND...: runs a program that prints "loss <number>" as it trains, and fails unless the last is below a
half of the first."""
import re
import subprocess
import sys


def main():
    done = subprocess.run(sys.argv[1:], stdout=subprocess.PIPE, text=True)
    losses = [float(number) for number in re.findall(r"\bloss:? *([-+.\w]+)", done.stdout)]
    print(done.stdout, end="")
    if done.returncode != 0 or len(losses) < 2:
        return f"expected exit code 0 and several losses, found {done.returncode} and {losses}"
    return 0 if losses[-1] < losses[0] / 2 else f"expected the loss to fall below a half, found {losses}"


if __name__ == "__main__":
    sys.exit(main())
