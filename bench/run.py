#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bash bench/run.sh [--quick] [--output FOLDER] [--peers DIR | --compare REV]

Builds the benchmarks (preset bench), measures for less than ten minutes on two idle cores (no clock cuts it short),
prints each layer against attention by context length, then kernels and rules, and writes results.json, results.csv,
table.txt and latency.svg; with --compare comparison.json, comparison.csv and comparison.txt. After Ctrl-C, or if a
program fails, what was measured is written all the same and the exit code is 1; 2 if there is nothing.
"""

import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from report import build, peers, plan, plot, rows, table  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parent.parent


def options(arguments):
    class Parser(argparse.ArgumentParser):
        def error(self, message):
            raise build.Failure(message)

    parser = Parser(
        prog="bench/run.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        usage=argparse.SUPPRESS,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="a few small cases, to see that everything runs")
    parser.add_argument(
        "--output",
        type=pathlib.Path,
        default=ROOT / "build/bench/results",
        metavar="FOLDER",
        help="where results go (default build/bench/results)",
    )
    parser.add_argument("--peers", type=pathlib.Path, metavar="DIR", help=peers.DIR_HELP)
    parser.add_argument("--compare", metavar="REV", help="measure this tree and revision REV alternately, print ratios")
    chosen = parser.parse_args(arguments)
    if chosen.peers and chosen.compare:
        raise build.Failure("--compare: cannot be combined with --peers")
    return chosen


def measure(steps, rows_of):
    """What `rows_of` yields for each step, and what went wrong. A step that fails ends there, Ctrl-C ends the run; the
    rows before are kept."""
    measured, failures, start = [], [], time.monotonic()
    try:
        for number, step in enumerate(steps, 1):
            print(f"[{time.monotonic() - start:4.0f} s] {number}/{len(steps)} {step.name}", file=sys.stderr, flush=True)
            try:
                for row in rows_of(step):
                    measured.append(row)
            except build.Failure as failure:
                failures.append(f"{step.name}: {failure}")
    except KeyboardInterrupt:
        failures.append("interrupted: only what was measured before is there")
    if not measured:
        raise build.Failure(f"nothing was measured: {failures[0]}")
    return measured, failures


def ended(failures):
    """The exit code of a run whose results are written."""
    for failure in failures:
        print(f"bench/run.sh: {failure}", file=sys.stderr)
    return 1 if failures else 0


def run(chosen):
    folder = chosen.output.resolve()
    found_peers = peers.open_peers(chosen.peers, folder)
    commit = build.revision(ROOT, chosen.compare) if chosen.compare else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise build.Failure(f"--output: cannot make folder '{folder}': {error.strerror}") from None
    programs = build.benchmarks(ROOT, folder, *(plan.PROGRAMS if commit else ()))
    if commit:
        return compare(programs, commit, chosen.quick, folder)

    def rows_of(step):
        yield from rows.of_program(programs / step.program, step.filter, step.min_time)
        yield from found_peers.answers(step)

    steps = plan.steps(build.other_programs(programs, plan.PROGRAMS), chosen.quick, bool(chosen.peers))
    with found_peers:
        measured, failures = measure(steps, rows_of)
    measured = rows.with_shares(rows.with_floors(measured))
    text = table.report(measured)
    rows.write(measured, folder / "results")
    (folder / "table.txt").write_text(text, encoding="utf-8")
    (folder / "latency.svg").write_text(plot.latency(measured), encoding="utf-8")
    print(text)
    print(f"results.json, results.csv, table.txt and latency.svg are in {os.path.relpath(folder)}")
    return ended(failures + found_peers.reasons())


def compare(programs, commit, quick, folder):
    """Each step twice with each tree, alternately."""
    reference, missing = build.benchmarks_of(ROOT, commit, folder, plan.PROGRAMS)
    trees = {"reference": reference, "this tree": programs}

    def rows_of(step):
        for source, tree in 2 * list(trees.items()):
            try:
                for row in rows.of_program(tree / step.program, step.filter, step.min_time):
                    yield dict(row, source=source)
            except build.Failure as failure:
                raise build.Failure(f"{source}: {failure}") from None

    steps = [step for step in plan.compared(quick) if step.program not in missing]
    measured, failures = measure(steps, rows_of)
    text = table.comparison(*(rows.select(measured, source=source) for source in ("this tree", "reference")))
    for program in missing:
        text += f"not compared: {program} does not build with {commit[:12]}, see build_reference.log\n"
    rows.write(measured, folder / "comparison")
    (folder / "comparison.txt").write_text(text, encoding="utf-8")
    print(text)
    print(f"comparison.json, comparison.csv and comparison.txt are in {os.path.relpath(folder)}")
    return ended(failures)


def main():
    try:
        return run(options(sys.argv[1:]))
    except build.Failure as failure:
        print(f"bench/run.sh: {failure}", file=sys.stderr)
    except KeyboardInterrupt:
        print("bench/run.sh: interrupted before anything was measured", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
