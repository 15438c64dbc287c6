# SPDX-License-Identifier: MIT
"""The programs of bench/peers: started once, asked case by case between our own measurements."""

import json
import pathlib
import subprocess
import sys

from .build import Failure
from .rows import last_line, with_time_per_token

PEERS = pathlib.Path(__file__).resolve().parent.parent / "peers"
DIR_HELP = """measure what others take as well: DIR holds venv (Python with torch, numpy, transformers 4.44.2, jax, flax,
einops), ttt-lm-pytorch and ttt-lm-jax (checkouts of github.com/test-time-training) and, if wanted, llama.cpp (a build
folder with bin/llama-bench)"""


class NoPeers:
    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def answers(self, _):
        return []

    def report_failures(self):
        return 0


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
        self.running.pop(key).communicate()  # closes its input, which ends it

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
            "llama.cpp": ["--build", str(self.folder / "llama.cpp"), "--work", str(self.output)],
        }
        return python + sources[peer]

    def process(self, peer, threads):
        for key in [key for key in self.running if key[1] != threads]:  # their threads may still be spinning
            self.stop(key)
        if (peer, threads) not in self.running:
            self.output.mkdir(parents=True, exist_ok=True)
            with open(self.errors_of(peer), "w", encoding="utf-8") as errors:
                self.running[peer, threads] = subprocess.Popen(
                    self.command(peer, threads), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True
                )
        return self.running[peer, threads]

    def errors_of(self, peer):
        return self.output / f"peer_{peer}.log"

    def answers(self, requests):
        """A row for each request, several for llama.cpp's; a peer that stops is left out from then on."""
        found = []
        for request in requests:
            if request["peer"] in self.failures or (request["peer"] == "llama.cpp" and not self.has_llama()):
                continue
            line = self.line(request)
            if line:
                found += [with_time_per_token(row) for row in json.loads(line)]
            else:
                self.stop((request["peer"], request["threads"]))
                self.failures[request["peer"]] = last_line(self.errors_of(request["peer"]).read_text(encoding="utf-8"))
        return found

    def line(self, request):
        """The peer's answer as text, nothing if it has stopped."""
        process = self.process(request["peer"], request["threads"])
        try:
            process.stdin.write(json.dumps(request) + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return ""
        return process.stdout.readline()

    def has_llama(self):
        return (self.folder / "llama.cpp/bin/llama-bench").exists()

    def report_failures(self):
        for peer, reason in self.failures.items():
            print(f"bench/run.sh: --peers: {peer} stopped: {reason} (see {self.errors_of(peer)})", file=sys.stderr)
        return 1 if self.failures else 0


def open_peers(folder, output):
    if folder is None:
        return NoPeers()
    folder = folder.resolve()
    for needed in ("venv/bin/python", "ttt-lm-pytorch/ttt.py", "ttt-lm-jax/ttt/models/ttt_layer.py"):
        if not (folder / needed).exists():
            raise Failure(f"--peers: {folder / needed} is not there")
    return Peers(folder, output)
