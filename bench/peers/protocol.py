# SPDX-License-Identifier: MIT
"""How the peers talk: each line in is a request as JSON, each line out the list of its rows."""

import json
import os
import sys
import time


def pin(threads):
    """One thread stays on one processor, as ours does."""
    if threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})


def fastest(call, min_time):
    """Seconds of the fastest call after a warm-up: calls go on for `min_time` seconds, as our own do, there are two at
    least, and up to six in two seconds. A call of more than ten seconds is its own warm-up."""
    warm_up = seconds_of(call)
    if warm_up > 10:
        return warm_up
    times = []
    while len(times) < 2 or sum(times) < min_time or (len(times) < 6 and sum(times) < 2):
        times.append(seconds_of(call))
    return min(times)


def seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def row(request, seconds, count, **sizes):
    """The row that answers `request`, which took `seconds` for `count` tokens."""
    kept = {key: value for key, value in request.items() if key not in ("peer", "heads", "min_time")}
    return {
        **kept,
        "source": request["peer"],
        "name": f"{request['case']}/{request['layer']}",
        "seconds": seconds,
        "tokens_per_second": count / seconds,
        **sizes,
    }


def serve(answer):
    """Answers requests until there are no more. Libraries print where they like: only rows reach the real output."""
    out, sys.stdout = sys.stdout, sys.stderr
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), file=out, flush=True)
