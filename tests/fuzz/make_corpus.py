#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_corpus.py: writes the seeds of the fuzz targets into corpus/. What fuzzing found lies there, too, and stays."""
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
MASK = (1 << 64) - 1


def xxh64(data):
    """XXH64 with seed 0, as include/ttt/io/checksum.hpp."""
    p1, p2, p3, p4, p5 = (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0x85EBCA77C2B2AE63,
                          0x27D4EB2F165667C5)

    def rotate(x, r):
        return ((x << r) | (x >> (64 - r))) & MASK

    def round_(lane, word):
        return rotate((lane + word * p2) & MASK, 31) * p1 & MASK

    at, h = 0, p5
    if len(data) >= 32:
        lanes = [(p1 + p2) & MASK, p2, 0, -p1 & MASK]
        for at in range(0, len(data) - 31, 32):
            lanes = [round_(lane, word) for lane, word in zip(lanes, struct.unpack_from("<4Q", data, at))]
        at += 32
        h = sum(rotate(lane, r) for lane, r in zip(lanes, (1, 7, 12, 18))) & MASK
        for lane in lanes:
            h = ((h ^ round_(0, lane)) * p1 + p4) & MASK
    h = (h + len(data)) & MASK
    for at in range(at, len(data) - 7, 8):
        h = (rotate(h ^ round_(0, struct.unpack_from("<Q", data, at)[0]), 27) * p1 + p4) & MASK
    at = len(data) - len(data) % 8
    if len(data) % 8 >= 4:
        h = (rotate(h ^ (struct.unpack_from("<I", data, at)[0] * p1 & MASK), 23) * p2 + p3) & MASK
        at += 4
    for byte in data[at:]:
        h = rotate(h ^ (byte * p5 & MASK), 11) * p1 & MASK
    h = (h ^ (h >> 33)) * p2 & MASK
    h = (h ^ (h >> 29)) * p3 & MASK
    return h ^ (h >> 32)


def safetensors(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def tensor(dtype, shape, begin, end):
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def checkpoint(settings, arrays):
    def part(value):
        return struct.pack("<Q", len(value)) + value
    body = struct.pack("<Q", len(settings)) + b"".join(part(a) + part(b) for a, b in settings)
    body += struct.pack("<Q", len(arrays)) + b"".join(part(a) + part(b) + part(c) for a, b, c in arrays)
    file = struct.pack("<QQQ", 0x74706B6374747400, 1, 24 + len(body) + 8) + body
    return file + struct.pack("<Q", xxh64(file))


def index(text, first, second):
    text = json.dumps(text).encode()
    return struct.pack("<HH", len(text), len(first)) + text + first + second


def state_blob(model, position, parts):
    """As include/ttt/serving/state_blob.hpp writes the State of tests/support/nested_state.hpp."""
    pieces = [model.encode(), struct.pack("<q", position)]
    header, begin = {}, 0
    for name, part in parts:
        pieces += [name.encode(), part]
        header[name] = tensor("F32", [2, len(part) // 8], begin, begin + len(part))
        begin += len(part)
    checksum = xxh64(b"".join(struct.pack("<Q", len(piece)) + piece for piece in pieces))
    header["__metadata__"] = {"state": "2", "model": model, "position": str(position), "checksum": str(checksum)}
    return safetensors(header, b"".join(part for _, part in parts))


def small_tokenizer(path):
    """Without merges: what is changed should be the steps in front of the model."""
    file = json.loads(path.read_text(encoding="utf-8"))
    vocabulary = file["model"]["vocab"]
    keep = {token: id for token, id in vocabulary.items() if len(token) == 1 or token.startswith("<")}
    file["model"] |= {"vocab": keep, "merges": []}
    return json.dumps(file, ensure_ascii=False, separators=(",", ":")).encode()


def seeds():
    every = safetensors(
        {"__metadata__": {"format": "pt"}, "a": tensor("I64", [2], 0, 16), "b": tensor("F64", [1], 16, 24),
         "c": tensor("F32", [2, 1], 24, 32), "d": tensor("I32", [], 32, 36), "e": tensor("BF16", [3], 36, 42),
         "f": tensor("F16", [1, 1, 1], 42, 44), "g": tensor("U8", [3], 44, 47), "h": tensor("BOOL", [2], 47, 49),
         "i": tensor("F32", [0, 7], 49, 49)}, bytes(range(47)) + b"\0\1")
    yield "safetensors/every_type.safetensors", every
    yield "safetensors/no_tensor.safetensors", safetensors({}, b"")
    yield "safetensors/unordered.safetensors", safetensors(
        {"z\u00e9\n": tensor("U8", [2], 4, 6), "y": {"later": [1, {"x": None}], **tensor("F32", [1], 0, 4)}}, b"abcdef")
    first = safetensors({"a": tensor("F32", [1], 0, 4), "c": tensor("U8", [1], 4, 5)}, b"12345")
    second = safetensors({"__metadata__": {"k": "v"}, "b": tensor("BF16", [2], 0, 4)}, b"6789")
    names = {"a": "1.safetensors", "b": "2.safetensors", "c": "1.safetensors"}
    yield "index/two_files.bin", index({"metadata": {"total_size": 9}, "weight_map": names}, first, second)
    yield "index/one_file.bin", index({"weight_map": {"b": "2.safetensors"}}, b"", second)
    yield "checkpoint/two_arrays.bin", checkpoint(
        [(b"configuration", b"{}"), (b"seed", b"1")],
        [(b"step", b"int64 [1]", b"12345678"), (b"w", b"float32 [0]", b"")])
    yield "checkpoint/empty.bin", checkpoint([], [])
    yield "resumed_run/unchanged.bin", b""
    yield "resumed_run/two_changes.bin", struct.pack("<IdIq", 5000, 1.5, 80000, -1)
    yield "state/three_blocks.safetensors", state_blob("tiny", 7, [
        ("blocks.0.layer.values", bytes(range(24))), ("blocks.0.layer.open", bytes(range(8))),
        ("blocks.1.layer.open", bytes(range(8))), ("blocks.2.layer.values", bytes(range(40))),
        ("blocks.2.layer.open", bytes(range(8)))])
    for name in ("gpt2", "llama2", "llama3", "metaspace"):
        yield f"tokenizer/{name}.json", (HERE.parent / "io" / "tokenizer" / f"{name}.json").read_bytes()
    for name in ("falcon_punct_digits", "gemma2_gemma3", "phi4_o200k", "qwen3_5"):
        yield f"tokenizer/{name}.json", small_tokenizer(HERE.parent / "golden/families/tokenizer" / f"{name}.json")
    for folder in sorted((HERE.parent / "golden" / "model").iterdir()):
        if (folder / "config.json").exists():
            yield f"config/{folder.name}.json", (folder / "config.json").read_bytes()
    for folder in sorted((HERE.parent / "golden/families/model").iterdir()):
        for spelling in ("config", "config_v5"):
            yield f"config/{folder.name}_{spelling}.json", (folder / f"{spelling}.json").read_bytes()
    blocks = [{"layer": "attention", "intermediate_size": 8, "window": 4, "sinks": 1, "memory": "ring",
               "beside": [{"layer": "mamba2", "state_width": 3}]},
              {"layer": "ttt-mlp", "backbone": "mamba", "intermediate_size": 0, "norms": "around", "heads": 2}]
    yield "config/hybrid.json", json.dumps({
        "model_type": "ttt-cpp", "vocab_size": 11, "hidden_size": 12, "num_hidden_layers": 4, "blocks": blocks}).encode()


if __name__ == "__main__":
    for name, content in seeds():
        path = HERE / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        print(path.relative_to(HERE), len(content))
