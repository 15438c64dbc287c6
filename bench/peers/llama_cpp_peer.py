# SPDX-License-Identifier: MIT
"""llama.cpp's Llama of the 125M size with random weights: prefill and decode, by its own llama-bench."""

import argparse
import json
import pathlib
import subprocess
import sys

import numpy

import protocol

WIDTH, BLOCKS, HEADS, HIDDEN, VOCABULARY, LONGEST = 768, 12, 12, 2048, 32000, 65536
BEHIND = 8192

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--build", type=pathlib.Path, required=True, help="build folder of llama.cpp")
parser.add_argument("--work", type=pathlib.Path, required=True, help="where the model file goes")
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()


def gguf_package():
    """The package gguf, from Python or from the sources that the build folder was made of."""
    cache = (options.build / "CMakeCache.txt").read_text(encoding="utf-8")
    home = next(line.partition("=")[2] for line in cache.splitlines() if line.startswith("CMAKE_HOME_DIRECTORY:"))
    sys.path.append(str(pathlib.Path(home) / "gguf-py"))
    import gguf

    return gguf


def write_model(path, bfloat16):
    """Speed does not depend on the values. The file is there only once it is whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_suffix(".part")
    random = numpy.random.default_rng(0)
    gguf = gguf_package()
    writer = gguf.GGUFWriter(aside, "llama")
    for set_size, size in (
        (writer.add_context_length, LONGEST),
        (writer.add_embedding_length, WIDTH),
        (writer.add_block_count, BLOCKS),
        (writer.add_feed_forward_length, HIDDEN),
        (writer.add_head_count, HEADS),
        (writer.add_head_count_kv, HEADS),
        (writer.add_rope_dimension_count, WIDTH // HEADS),
        (writer.add_vocab_size, VOCABULARY),
    ):
        set_size(size)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("no_vocab")

    def matrix(name, rows, columns):
        values = 0.02 * random.standard_normal((rows, columns), numpy.float32)
        if bfloat16:
            narrow = gguf.GGMLQuantizationType.BF16
            writer.add_tensor(name, gguf.quants.quantize(values, narrow), raw_dtype=narrow)
        else:
            writer.add_tensor(name, values)

    def norm(name):
        writer.add_tensor(name, numpy.ones(WIDTH, numpy.float32))

    matrix("token_embd.weight", VOCABULARY, WIDTH)
    matrix("output.weight", VOCABULARY, WIDTH)
    norm("output_norm.weight")
    for block in range(BLOCKS):
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            matrix(f"blk.{block}.{part}.weight", WIDTH, WIDTH)
        matrix(f"blk.{block}.ffn_gate.weight", HIDDEN, WIDTH)
        matrix(f"blk.{block}.ffn_up.weight", HIDDEN, WIDTH)
        matrix(f"blk.{block}.ffn_down.weight", WIDTH, HIDDEN)
        norm(f"blk.{block}.attn_norm.weight")
        norm(f"blk.{block}.ffn_norm.weight")
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    aside.rename(path)


def measure(request, prompt, generated, behind, bfloat16=False):
    model = options.work / ("llama_125m_bfloat16.gguf" if bfloat16 else "llama_125m.gguf")
    layer = "attention-bfloat16" if bfloat16 else "attention"
    if not model.exists():
        write_model(model, bfloat16)
    command = [
        options.build / "bin/llama-bench",
        "-m",
        model,
        "-t",
        request["threads"],
        "-p",
        prompt,
        "-n",
        generated,
        "-d",
        behind,
        "-r",
        2,
        "-o",
        "json",
    ]
    result = json.loads(
        subprocess.run(list(map(str, command)), stdout=subprocess.PIPE, stderr=sys.stderr, check=True, text=True).stdout
    )
    for found in result:
        tokens, rate = found["n_prompt"] or found["n_gen"], max(found["samples_ts"])
        case = "lm_prefill" if found["n_prompt"] else "lm_decode"
        sizes = {"tokens": tokens} if found["n_prompt"] else {}
        one = 1 if case == "lm_decode" else tokens
        yield protocol.row(
            {**request, "case": case, "layer": layer}, one / rate, one, width=WIDTH, before=behind, **sizes
        )


def answer(request):
    return [
        *measure(request, "512,2048", 16, 0),
        *measure(request, "512", 16, BEHIND),
        *measure(request, "0", 16, 0, bfloat16=True),
        *measure(request, "0", 16, BEHIND, bfloat16=True),
    ]


protocol.serve(answer)
