# SPDX-License-Identifier: MIT
"""Rows of results: a dictionary for each case, from the JSON that Google Benchmark writes."""

import csv
import json
import re
import subprocess

from .build import Failure

SIZES = {"C": "width", "T": "tokens", "cached": "before"}
RATES = {"flops": "FLOP/s", "bytes_per_second": "bytes/s"}  # what a program calls them, if not as all others do
UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0}
COUNTERS = [
    "seconds",
    "tokens_per_second",
    "FLOP/s",
    "bytes/s",
    "of_best_library",
    "of_fma_peak",
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
SHARES = {"of_best_library": ("peak_eigen", "peak_openblas"), "of_fma_peak": ("peak_fma",)}
COLUMNS = [
    "source",
    "case",
    "layer",
    "width",
    "tokens",
    "before",
    "batch",
    "threads",
    "rows",
    "D",
    "K",
    "N",
    "window",
    "sinks",
    "layers",
    "weights",
    "backward",
    "us_per_token",
    *COUNTERS,
    "program",
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
    counters = {RATES.get(key, key): value for key, value in result.items()}
    row.update({key: counters[key] for key in COUNTERS if key in counters})
    row.setdefault("seconds", result["real_time"] * UNITS[result["time_unit"]])
    if "tokens" in row:
        row.setdefault("tokens_per_second", row["tokens"] / row["seconds"])
    return with_time_per_token(row)


def with_time_per_token(row):
    return dict(row, us_per_token=1e6 / row["tokens_per_second"]) if "tokens_per_second" in row else row


def of_program(program, pattern, min_time):
    """Runs the cases of a benchmark program whose names match; the rows of the good ones come before a Failure."""
    command = [
        str(program),
        f"--benchmark_filter={pattern}",
        f"--benchmark_min_time={min_time}",
        "--benchmark_format=json",
    ]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode or not done.stdout:
        raise Failure(f"{program.name} stopped with code {done.returncode}: {last_line(done.stderr)}")
    wrong = []
    for result in json.loads(done.stdout)["benchmarks"]:
        if result.get("error_occurred"):
            wrong.append(f"{program.name}: {result['name']}: {result['error_message']}")
        elif result.get("run_type") != "aggregate":
            yield dict(of_benchmark(result), program=program.name)
    if wrong:
        raise Failure("; ".join(wrong))


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


def with_shares(rows):
    """Products on one thread against the best rate of a library, and of fused multiply-adds, of the whole run."""
    for share, peaks in SHARES.items():
        seen = [row[peak] for row in select(rows, threads=1) for peak in peaks if peak in row]
        seen += [row["FLOP/s"] / row[share] for row in rows if share in row]
        rows = [dict(row, **{share: row["FLOP/s"] / max(seen)}) if share in row else row for row in rows]
    return rows


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


def select(rows, /, **wanted):
    return [row for row in rows if all(row.get(key) == value for key, value in wanted.items())]


def fastest(rows, /, **wanted):
    """The fastest of the rows that agree with `wanted`, or None."""
    return min(select(rows, **wanted), key=lambda row: row["seconds"], default=None)


def write(rows, path):
    """As `path`.json and `path`.csv."""
    with open(path.with_suffix(".json"), "w", encoding="utf-8") as out:
        json.dump(rows, out, indent=1)
    with open(path.with_suffix(".csv"), "w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", restval="")
        writer.writeheader()
        writer.writerows(rows)
