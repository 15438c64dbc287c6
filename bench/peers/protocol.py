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


def fastest(call, most_seconds=2.0):
    """Seconds of the fastest of two to six calls after a warm-up."""
    call()
    times = []
    while len(times) < 2 or (len(times) < 6 and sum(times) < most_seconds):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def row(request, seconds, count, **sizes):
    """The row that answers `request`, which took `seconds` for `count` tokens."""
    kept = {key: value for key, value in request.items() if key not in ("peer", "heads")}
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
