# SPDX-License-Identifier: MIT
"""Rows of results: a dictionary for each case, from the JSON that Google Benchmark writes."""

import csv
import json
import re
import subprocess

from .build import Failure

SIZES = {"C": "width", "T": "tokens"}
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
COUNTERS = [
    "seconds",
    "tokens_per_second",
    "FLOP/s",
    "product_flops",
    "xfloor",
    "state_bytes",
    "bytes_per_token",
    "read_seconds",
    "xread",
    "peak_ours",
    "peak_eigen",
    "peak_openblas",
    "peak_fma",
]
COLUMNS = [
    "source",
    "case",
    "layer",
    "width",
    "tokens",
    "before",
    "batch",
    "threads",
    "us_per_token",
    *COUNTERS,
    "name",
]


def labels_of(name):
    """The parts of a benchmark's name that are no sizes: "forward", "ttt-linear"."""
    return [
        part
        for part in name.split("/")
        if part not in ("manual_time", "real_time") and not re.fullmatch(r"(\w+:)?\d+", part)
    ]


def of_benchmark(result):
    """One row from one entry of "benchmarks": labels of its name are case and layer, `key:value` parts are sizes."""
    labels = labels_of(result["name"])
    row = {"source": "ttt", "name": result["name"], "case": labels[0], "layer": labels[1] if len(labels) > 1 else ""}
    for part in result["name"].split("/"):
        key, colon, value = part.partition(":")
        if colon and value.isdigit():
            row[SIZES.get(key, key)] = int(value)
    row.update({key: result[key] for key in COUNTERS if key in result})
    row.setdefault("seconds", result["real_time"] * UNITS[result["time_unit"]])
    return with_time_per_token(row)


def with_time_per_token(row):
    return dict(row, us_per_token=1e6 / row["tokens_per_second"]) if "tokens_per_second" in row else row


def of_program(program, pattern, min_time):
    """Runs the cases of a benchmark program whose names match."""
    command = [
        str(program),
        f"--benchmark_filter={pattern}",
        f"--benchmark_min_time={min_time}",
        "--benchmark_format=json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode or not done.stdout:
        raise Failure(f"{program.name} stopped with code {done.returncode}: {last_line(done.stderr)}")
    results = [result for result in json.loads(done.stdout)["benchmarks"] if result.get("run_type") != "aggregate"]
    for result in results:
        if result.get("error_occurred"):
            raise Failure(f"{program.name}: {result['name']}: {result['error_message']}")
    return [of_benchmark(result) for result in results]


def last_line(text):
    return (text.strip().splitlines() or ["no message"])[-1]


def best_products(rows):
    """The best rate of a large product that any process of this run saw, by threads."""
    best = {}
    for row in rows:
        if "peak_ours" in row:
            rate = max(row["peak_ours"], row["peak_eigen"], row["peak_openblas"])
            best[row["threads"]] = max(best.get(row["threads"], 0), rate)
    return best


def with_floors(rows):
    """The same rows held against the best rates of the whole run: a process that met a busy machine would flatter."""
    best = best_products(rows)
    return [
        (
            dict(row, xfloor=row["seconds"] * best[row["threads"]] / row["product_flops"])
            if "product_flops" in row
            else row
        )
        for row in rows
    ]


def select(rows, **wanted):
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def fastest(rows, **wanted):
    """The fastest of the rows that agree with `wanted`, or None."""
    return min(select(rows, **wanted), key=lambda row: row["seconds"], default=None)


def write(rows, folder):
    with open(folder / "results.json", "w", encoding="utf-8") as out:
        json.dump(rows, out, indent=1)
    with open(folder / "results.csv", "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
