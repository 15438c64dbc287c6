#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""smoke.py PROGRAM: the first case of each benchmark in PROGRAM, which is its smallest, runs once without an error, and
everything that bench/run.sh wants of the program is there."""

import pathlib
import re
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from report import build, kernels, plan, rows  # noqa: E402


def first_of_each(names):
    first = {}
    for name in names:
        first.setdefault(tuple(rows.labels_of(name)), name)
    return list(first.values())


def exactly(names):
    """A filter for these names. The expressions are POSIX's, which know fewer escapes than Python's."""
    return "^(" + "|".join(re.sub(r"([][.*+?(){}|^$\\])", r"\\\1", name) for name in names) + ")$"


def missing_steps(program, names):
    steps = (
        plan.steps([], peers=True)
        + plan.steps([], quick=True, peers=True)
        + plan.compared()
        + plan.compared(quick=True)
    )
    return [
        step.filter
        for step in steps
        if step.program == program.name and not any(re.search(step.filter, name) for name in names)
    ]


def main(program):
    names = subprocess.run(
        [program, "--benchmark_list_tests"], stdout=subprocess.PIPE, check=True, text=True
    ).stdout.split("\n")
    names = [name for name in names if name]
    chosen = first_of_each(names)
    if not chosen:
        return f"{program.name} has no benchmarks"
    if missing := missing_steps(program, names):
        return f"bench/report/plan.py asks {program.name} for {missing[0]}, which matches no case"
    labels = {"/".join(rows.labels_of(name)) for name in names}
    if unknown := [name for name in kernels.NAMES.get(program.name, []) if name not in labels]:
        return f"bench/report/kernels.py shows '{unknown[0]}' of {program.name}, which has no such benchmark"
    found = list(rows.of_program(program, exactly(chosen), 0.0001))
    if [row["name"] for row in found] != chosen:
        return f"{program.name} ran {[row['name'] for row in found]} instead of {chosen}"
    wrong = [row["name"] for row in found if not 0 < row["seconds"] < float("inf")]
    return f"{program.name}: no time for {wrong}" if wrong else None


if __name__ == "__main__":
    try:
        sys.exit(main(pathlib.Path(sys.argv[1])))
    except build.Failure as failure:
        sys.exit(str(failure))
