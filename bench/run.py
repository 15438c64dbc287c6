#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""bash bench/run.sh [--quick] [--output FOLDER] [--peers DIR | --compare REV]

Builds the benchmarks (preset bench), measures in at most ten minutes on two cores, prints each layer against attention by
context length, and writes results.json, results.csv, table.txt and latency.svg.
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


def measure(steps, programs, found_peers):
    """All rows of a run, peers asked right after the step they are compared with. Ctrl-C ends it with those so far."""
    measured, start = [], time.monotonic()
    try:
        for number, step in enumerate(steps, 1):
            print(f"[{time.monotonic() - start:4.0f} s] {number}/{len(steps)} {step.name}", file=sys.stderr, flush=True)
            measured += rows.of_program(programs / step.program, step.filter, step.min_time)
            measured += found_peers.answers(step.requests)
    except KeyboardInterrupt:
        if not measured:
            raise build.Failure("interrupted before anything was measured") from None
        print("bench/run.sh: interrupted; what follows was measured before", file=sys.stderr)
    return measured


def run(chosen):
    folder = chosen.output.resolve()
    found_peers = peers.open_peers(chosen.peers, folder)
    reference = build.revision(ROOT, chosen.compare) if chosen.compare else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise build.Failure(f"--output: cannot make folder '{folder}': {error.strerror}") from None
    programs = build.benchmarks(ROOT, folder)
    if reference:
        return compare(plan.compared(chosen.quick), programs, build.benchmarks_of(ROOT, reference, folder), folder)
    steps = plan.steps(build.other_programs(programs, plan.PROGRAMS), chosen.quick, bool(chosen.peers))
    with found_peers:
        measured = rows.with_shares(rows.with_floors(measure(steps, programs, found_peers)))
    text = table.report(measured)
    rows.write(measured, folder)
    (folder / "table.txt").write_text(text, encoding="utf-8")
    (folder / "latency.svg").write_text(plot.latency(measured), encoding="utf-8")
    print(text)
    print(f"results.json, results.csv, table.txt and latency.svg are in {os.path.relpath(folder)}")
    return found_peers.report_failures()


def compare(steps, programs, reference, folder):
    """Each step twice with each tree, alternately."""
    here, there = [], []
    for number, step in enumerate(steps, 1):
        print(f"{number}/{len(steps)} {step.name}", file=sys.stderr, flush=True)
        for _ in range(2):
            there += rows.of_program(reference / step.program, step.filter, step.min_time)
            here += rows.of_program(programs / step.program, step.filter, step.min_time)
    text = table.comparison(here, there)
    rows.write(
        [dict(row, source="this tree") for row in here] + [dict(row, source="reference") for row in there], folder
    )
    (folder / "comparison.txt").write_text(text, encoding="utf-8")
    print(text)
    return 0


def main():
    try:
        return run(options(sys.argv[1:]))
    except build.Failure as failure:
        print(f"bench/run.sh: {failure}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
