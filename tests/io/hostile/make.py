#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make.py: writes the hostile files, each the known failure of some reader, and into expected.txt one line for each:
the path, then what its Error must say, separated by tabs. Links, and what is huge, the tests make themselves."""
import json
import struct
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPECTED = []


def write(name, content, *words):
    path = HERE / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    EXPECTED.append("\t".join((name, *words)))


def framed(header, data=b"", length=None):
    header = header if isinstance(header, bytes) else header.encode()
    return struct.pack("<Q", len(header) if length is None else length) + header + data


def entry(name, dtype, shape, offsets, more=""):
    return f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}{more}}}'


def tensor_file(name, entries, data, *words):
    write(f"tensors/{name}.safetensors", framed("{" + ",".join(entries) + "}", data), f"{name}.safetensors", *words)


def tensors():
    one = "{" + entry("t", "U8", "[4]", "[0,4]") + "}"
    for name, length in (("length_wraps_to_0", 2**64 - 8), ("length_wraps_to_7", 2**64 - 1), ("length_2_63", 2**63)):
        write(f"tensors/{name}.safetensors", framed(one, b"abcd", length), name, "header of at most", str(length))
    write("tensors/header_of_100_mb_in_1_kb.safetensors", framed(one, bytes(1024 - 8 - len(one)), 100_000_000),
          "header of at most 1016 bytes", "found 100000000")
    write("tensors/empty.safetensors", b"", "at least 8 bytes", "found 0")
    write("tensors/no_length.safetensors", b"1234567", "at least 8 bytes", "found 7")
    tensor_file("product_wraps_to_0", [entry("t", "F32", "[4294967296,4294967296]", "[0,0]")], b"", "'t'", "counted")
    tensor_file("product_wraps_to_the_data", [entry("t", "F32", "[4611686018427387905]", "[0,4]")], b"abcd", "'t'",
                "counted")
    tensor_file("bytes_wrap_to_0", [entry("t", "F64", "[2305843009213693952]", "[0,0]")], b"", "'t'", "counted")
    tensor_file("shape_beyond_offsets", [entry("t", "F32", "[1000000]", "[0,8]")], bytes(8), "'t'",
                "4000000 bytes for F32", "[0, 8]")
    tensor_file("offsets_beyond_shape", [entry("t", "F32", "[1]", "[0,8]")], bytes(8), "'t'", "4 bytes for F32",
                "[0, 8]")
    tensor_file("short", [entry("t", "F32", "[4]", "[0,16]")], bytes(8), "expected 79 bytes",
                "found 71: the file is truncated")
    tensor_file("long", [entry("t", "U8", "[4]", "[0,4]")], b"abcd" + b"PK\x03\x04", "expected 65 bytes", "found 69",
                "more behind its end")
    tensor_file("overlap", [entry("a", "U8", "[4]", "[0,4]"), entry("b", "U8", "[4]", "[2,6]")], bytes(6), "'b'",
                "overlap")
    tensor_file("same_bytes", [entry("a", "U8", "[4]", "[0,4]"), entry("b", "U8", "[4]", "[0,4]")], bytes(4), "'b'",
                "overlap")
    tensor_file("hole", [entry("a", "U8", "[4]", "[0,4]"), entry("b", "U8", "[2]", "[6,8]")], bytes(8), "'b'", "hole")
    tensor_file("offsets_reversed", [entry("t", "U8", "[4]", "[8,4]")], bytes(8), "'t'", "in order", "[8, 4]")
    tensor_file("offsets_beyond", [entry("t", "U8", "[1]", "[18446744073709551614,18446744073709551615]")], bytes(8),
                "'t'", "of at most 184467440737")
    for name, size in (("nan", "NaN"), ("infinity", "Infinity"), ("negative", "-1"), ("fraction", "1.5"),
                       ("exponent", "1e0"), ("text", '"1"'), ("null", "null"), ("beyond_2_64", "18446744073709551616")):
        tensor_file(f"size_{name}", [entry("t", "U8", f"[{size}]", "[0,1]")], b"a", "a whole number")
        tensor_file(f"offset_{name}", [entry("t", "U8", "[1]", f"[0,{size}]")], b"a", "a whole number")
    deep = "[" * 3000 + "]" * 3000
    tensor_file("deep_shape", [entry("t", "U8", deep, "[0,1]")], b"a", "a whole number", "found '['")
    tensor_file("deep_member", [entry("t", "U8", "[1]", "[0,1]", ',"x":' + deep)], b"a", "127 nested")
    tensor_file("deep_objects", [entry("t", "U8", "[1]", "[0,1]", ',"x":' + '{"a":' * 3000 + "1" + "}" * 3000)], b"a",
                "127 nested")
    tensor_file("deep_metadata", ['"__metadata__":{"k":' + deep + "}"], b"", "a string")
    tensor_file("same_name", [entry("t", "U8", "[1]", "[0,1]"), entry("t", "U8", "[1]", "[1,2]")], b"ab", "'t' twice")
    tensor_file("same_name_escaped", [entry("t", "U8", "[1]", "[0,1]"), entry("\\u0074", "U8", "[1]", "[1,2]")], b"ab",
                "'t' twice")
    tensor_file("same_member", [entry("t", "U8", "[1]", "[0,1]", ',"shape":[1]')], b"a", "'shape' twice")
    tensor_file("rank_65", [entry("t", "U8", "[" + ",".join(["1"] * 65) + "]", "[0,1]")], b"a", "at most 64 items")
    tensor_file("unread_dtype_size", [entry("t", "F8_E4M3", "[2]", "[0,1]")], b"a", "'t'", "2 bytes for F8_E4M3")
    tensor_file("unknown_dtype_overlap", [entry("a", "Q4", "[4]", "[0,4]"), entry("b", "Q4", "[4]", "[2,6]")], bytes(6),
                "'b'", "overlap")
    tensor_file("unknown_dtype_wraps", [entry("t", "Q4", "[4294967296,4294967296]", "[0,4]")], b"abcd", "'t'",
                "counted")
    tensor_file("name_with_newline", [entry("a\\nb\\u001b[31m", "U8", "[2]", "[0,1]")], b"a", "'a\\x0ab\\x1b[31m'")
    write("tensors/not_utf8.safetensors", framed(b'{"\xff":1}'), "valid UTF-8")
    write("tensors/space_first.safetensors", framed(" {}"), "'{' as the first byte")


def indices():
    def index(name, files, *words, text=None):
        text = text or json.dumps({"metadata": {}, "weight_map": files})
        write(f"indices/{name}.safetensors.index.json", text, f"{name}.safetensors.index.json", *words)
    write("indices/part.safetensors", framed("{" + entry("t", "U8", "[1]", "[0,1]") + "}", b"a"))
    EXPECTED.pop()  # this one is good
    index("parent_folder", {"t": "../tensors/long.safetensors"}, "'t'", "plain file name",
          "'../tensors/long.safetensors'")
    index("own_folder", {"t": "./part.safetensors"}, "'t'", "plain file name")
    index("absolute", {"t": "/etc/part.safetensors"}, "'t'", "plain file name", "'/etc/part.safetensors'")
    index("backslash", {"t": "..\\part.safetensors"}, "'t'", "plain file name")
    index("zero_byte", {"t": "part.safetensors\0.safetensors"}, "'t'", "plain file name")
    index("another_kind", {"t": "/etc/passwd"}, "'t'", "plain file name")
    index("missing_file", {"t": "missing.safetensors"}, "missing.safetensors", "No such file")
    index("missing_tensor", {"t": "part.safetensors", "u": "part.safetensors"}, "'u'", "no such tensor")
    index("deep", {}, "127 nested", text='{"metadata":' + "[" * 3000 + "]" * 3000 + ',"weight_map":{}}')
    index("deep_map", {}, "a string", text='{"weight_map":{"t":' + "[" * 3000 + "]" * 3000 + "}}")
    index("same_name", {}, "'t' twice", text='{"weight_map":{"t":"part.safetensors","t":"part.safetensors"}}')
    index("not_an_object", {}, "expected '{'", text='["part.safetensors"]')
    index("no_map", {}, "'weight_map'", text="{}")


def folders():
    entries, data = [], b""
    for name, shape in (("model.embed_tokens.weight", [4, 4]),
                        ("model.layers.0.seq_modeling_block.learnable_token_idx", [2]),
                        ("model.layers.0.seq_modeling_block.q_proj.weight", [4, 4])):
        size = 4 * shape[0] * (shape[1] if len(shape) > 1 else 1)
        entries.append(entry(name, "F32", shape, f"[{len(data)},{len(data) + size}]"))
        data += bytes(size)
    good = {"model_type": "ttt", "vocab_size": 4, "hidden_size": 4, "intermediate_size": 4, "num_hidden_layers": 1,
            "num_attention_heads": 2, "mini_batch_size": 2}

    def folder(name, text, *words, stored=entries):
        write(f"folders/{name}/config.json", text if isinstance(text, str) else json.dumps({**good, **text}), *words)
        (HERE / f"folders/{name}/model.safetensors").write_bytes(framed("{" + ",".join(stored) + "}", data))
    folder("layers_10_9", {"num_hidden_layers": 10**9}, "model.safetensors", "1000000000 layers", "3 tensors")
    folder("layers_2_63", {"num_hidden_layers": 2**63}, "config.json", "'num_hidden_layers'", "whole number")
    folder("layers_negative", {"num_hidden_layers": -1}, "config.json", "'num_hidden_layers'", "whole number")
    folder("layers_fraction", {"num_hidden_layers": 1.5}, "config.json", "'num_hidden_layers'", "whole number")
    folder("layers_nan", {"num_hidden_layers": float("nan")}, "config.json", "'num_hidden_layers'", "whole number")
    folder("vocabulary_10_9", {"vocab_size": 10**9}, "'model.embed_tokens.weight'", "[1000000000, 4]", "[4, 4]")
    # A shape that no bytes are behind, as their type is unknown.
    folder("unknown_dtype_10_9", {"vocab_size": 10**9}, "'model.embed_tokens.weight'", "F64, F32", "found Q4",
           stored=[entry("model.embed_tokens.weight", "Q4", [10**9, 4], "[0,64]"), *entries[1:]])
    folder("width_10_9", {"hidden_size": 10**9}, "'model.embed_tokens.weight'", "[4, 1000000000]", "[4, 4]")
    folder("hidden_10_9", {"intermediate_size": 10**9}, "no such tensor")
    folder("mini_batch_10_9", {"mini_batch_size": 10**9}, "learnable_token_idx", "[1000000000]", "[2]")
    folder("kernel_10_9", {"conv_kernel": 10**9, "pre_conv": True}, "no such tensor")
    folder("heads_10_9", {"num_attention_heads": 10**9}, "config.json", "'hidden_size'", "multiple")
    folder("deep", json.dumps(good)[:-1] + ',"x":' + "[" * 3000 + "]" * 3000 + "}", "config.json", "levels of JSON")
    folder("deep_objects", '{"a":' * 3000 + "1" + "}" * 3000, "config.json", "levels of JSON")
    folder("number_beyond_double", json.dumps(good)[:-1] + ',"rope_theta":1e999}', "config.json", "out of range")
    folder("not_an_object", "[1]", "config.json", "a JSON object")
    folder("unfinished", json.dumps(good)[:-1], "config.json", "syntax error")


if __name__ == "__main__":
    tensors()
    indices()
    folders()
    (HERE / "expected.txt").write_text("\n".join(EXPECTED) + "\n")
    print(len(EXPECTED), "hostile files")
