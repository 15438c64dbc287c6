# SPDX-License-Identifier: MIT
"""The programs of bench/peers: started once, asked case by case between our own measurements."""

import contextlib
import json
import os
import pathlib
import select
import signal
import subprocess

from .build import Failure
from .rows import last_line, with_time_per_token

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
MODELS = PEERS.parent.parent / "build/bench/peers"
MOST_SECONDS = 900  # of one answer; llama.cpp's, the longest, takes three minutes
DIR_HELP = """measure what others take as well: DIR holds venv (Python with torch, numpy, transformers 4.44.2, jax, flax,
einops), ttt-lm-pytorch and ttt-lm-jax (checkouts of github.com/test-time-training) and, if wanted, llama.cpp (a build
folder with bin/llama-bench; its models, 800 MB, are written once, into build/bench/peers)"""


class NoPeers:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def answers(self, _):
        return []

    def reasons(self):
        return []


class Peers:
    """One process for each program and number of threads, talked to in lines of JSON."""

    def __init__(self, folder, output):
        self.folder, self.output, self.running, self.failures = folder, output, {}, {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for key in list(self.running):
            self.stop(key)

    def stop(self, key):
        """With all that it started, in the middle of an answer too: it holds nothing worth an end of its own."""
        process = self.running.pop(key)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()

    def command(self, peer, threads):
        python = [
            str(self.folder / "venv/bin/python"),
            str(PEERS / f"{peer.replace('.', '_')}_peer.py"),
            "--threads",
            str(threads),
        ]
        sources = {
            "pytorch": ["--source", str(self.folder / "ttt-lm-pytorch")],
            "jax": ["--source", str(self.folder / "ttt-lm-jax")],
            "llama.cpp": ["--build", str(self.folder / "llama.cpp"), "--work", str(MODELS)],
        }
        return python + sources[peer]

    def process(self, peer, threads):
        for key in [key for key in self.running if key[1] != threads]:  # their threads may still be spinning
            self.stop(key)
        if (peer, threads) not in self.running:
            self.output.mkdir(parents=True, exist_ok=True)
            with open(self.errors_of(peer), "w", encoding="utf-8") as errors:
                self.running[peer, threads] = subprocess.Popen(
                    self.command(peer, threads),
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    start_new_session=True,
                )
        return self.running[peer, threads]

    def errors_of(self, peer):
        return self.output / f"peer_{peer}.log"

    def answers(self, step):
        """A row for each request of a step, several for llama.cpp's; a peer that fails is left out from then on."""
        for request in step.requests:
            peer = request["peer"]
            if peer in self.failures or (peer == "llama.cpp" and not self.has_llama()):
                continue
            try:
                answer = self.answer(dict(request, min_time=step.min_time))
            except Failure as failure:
                self.failures[peer] = str(failure)
            else:
                yield from map(with_time_per_token, answer)

    def answer(self, request):
        process = self.process(request["peer"], request["threads"])
        with contextlib.suppress(BrokenPipeError):  # it has stopped, and its output ends
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        in_time = select.select([process.stdout], [], [], MOST_SECONDS)[0]
        line = process.stdout.readline() if in_time else ""
        if line.endswith("\n"):
            return json.loads(line)
        self.stop((request["peer"], request["threads"]))
        if in_time:
            raise Failure(f"stopped: {last_line(self.errors_of(request['peer']).read_text(encoding='utf-8'))}")
        asked = " ".join(str(request[key]) for key in ("case", "layer", "width", "tokens", "before") if key in request)
        raise Failure(f"no answer to '{asked}' within {MOST_SECONDS} s")

    def has_llama(self):
        return (self.folder / "llama.cpp/bin/llama-bench").exists()

    def reasons(self):
        """Why peers were left out, a line for each."""
        return [f"--peers: {peer}: {reason} (see {self.errors_of(peer)})" for peer, reason in self.failures.items()]


def open_peers(folder, output):
    if folder is None:
        return NoPeers()
    folder = folder.resolve()
    for needed in ("venv/bin/python", "ttt-lm-pytorch/ttt.py", "ttt-lm-jax/ttt/models/ttt_layer.py"):
        if not (folder / needed).exists():
            raise Failure(f"--peers: {folder / needed} is not there")
    return Peers(folder, output)
