#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a GGUF file of a Llama into the model folder that transformers reads too:

    python3 gguf_to_folder.py MODEL.gguf FOLDER
    python3 gguf_to_folder.py MODEL.gguf FOLDER --dtype float16

Weights of every type that the package gguf can dequantise become numbers of one type; float32 holds what F32, F16 and
BF16 were bit for bit. A tokenizer.json is made of a byte-level vocabulary whose way to split a text is known here; else
stderr says why there is none. Needs the package gguf.
"""
import argparse
import json
import math
import os
import pathlib
import re
import struct
import sys

try:
    import gguf
    import numpy
except ImportError as error:
    sys.exit(f"gguf_to_folder.py: expected the package gguf, found none ({error})")

# Name in the file, name in the folder, and its shape by the sizes of the model.
MODEL = {
    "token_embd": ("model.embed_tokens", "VC"),
    "output_norm": ("model.norm", "C"),
    "output": ("lm_head", "VC"),
}
BLOCK = {
    "attn_norm": ("input_layernorm", "C"),
    "attn_q": ("self_attn.q_proj", "QC"),
    "attn_k": ("self_attn.k_proj", "KC"),
    "attn_v": ("self_attn.v_proj", "KC"),
    "attn_output": ("self_attn.o_proj", "CQ"),
    "ffn_norm": ("post_attention_layernorm", "C"),
    "ffn_gate": ("mlp.gate_proj", "FC"),
    "ffn_up": ("mlp.up_proj", "FC"),
    "ffn_down": ("mlp.down_proj", "CF"),
}
ROTARY_FACTORS = "rope_freqs.weight"
# What Llama 3.1 to 3.3 are published with; a file has the factors that follow, not these.
LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}

CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|"
WORDS = r"[^\r\n\p{L}\p{N}]?\p{L}+|"
REST = r"\s*[\r\n]+|\s+(?!\S)|\s+"
MARKS = r" ?[^\s\p{L}\p{N}]+[\r\n]*|"
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
TEKKEN = (
    rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*|"
    r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|"
)
DIGITS = {"type": "Digits", "individual_digits": True}
# tokenizer.ggml.pre: what stands before ByteLevel, a pattern or one of its kind, and whether llama.cpp looks up whole
# words first and puts the first token in front where the file does not say.
SPLITS = {
    **dict.fromkeys(["gpt-2"], (None, False)),
    **dict.fromkeys(["smollm", "starcoder", "refact"], (DIGITS, False)),
    **dict.fromkeys(["llama-bpe", "llama3", "llama-v3"], (CONTRACTIONS + WORDS + r"\p{N}{1,3}|" + MARKS + REST, True)),
    **dict.fromkeys(["qwen2", "deepseek-r1-qwen"], (CONTRACTIONS + WORDS + r"\p{N}|" + MARKS + REST, False)),
    **dict.fromkeys(["tekken"], (TEKKEN + REST, True)),
}
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # tokenizer.ggml.token_type


class Refused(Exception):
    """What is wrong with the file, in one line."""


class Metadata:
    """Keys of the file, by their name without the architecture; knows which were asked for."""

    def __init__(self, fields):
        self.values = {name: field.contents() for name, field in fields.items()}
        self.asked = set()

    def get(self, key, default=None):
        self.asked.add("llama." + key)
        value = self.values.get("llama." + key, default)
        if value is None:
            raise Refused(f"llama.{key}: expected a value, found none")
        return value

    def whole(self, key, default=None):
        value = self.get(key, default)
        if not isinstance(value, int) or value < 1:
            raise Refused(f"llama.{key}: expected one positive number, found {value}")
        return value

    def number(self, key, default=None):
        # Files have single precision: the shortest text that means the same number is what the model was made with.
        return float(str(numpy.float32(self.get(key, default))))

    def refuse_others(self):
        for name in self.values:
            if name.startswith("llama.") and name not in self.asked:
                raise Refused(f"{name}: expected keys of a plain Llama, found one that is not known here")


def llama3_scaling(factors, theta, head_dim):
    """The factors by which the frequencies are divided, as the rope_scaling they come from."""
    scaling = {"rope_type": "llama3", "factor": float(factors.max()), **LLAMA3}
    low, high, length = LLAMA3.values()
    turns = length / (2 * math.pi) * theta ** (-numpy.arange(0, head_dim, 2) / head_dim)
    part = numpy.clip((turns - low) / (high - low), 0, 1)
    expected = 1 / ((1 - part) / scaling["factor"] + part)
    if factors.shape != expected.shape or not numpy.allclose(factors, expected, rtol=1e-4, atol=0):
        raise Refused(f"{ROTARY_FACTORS}: expected the factors of Llama 3.1 to 3.3, found others, whose rope_scaling"
                      " the file does not say")
    return scaling


def rope_scaling(metadata, factors, theta, head_dim):
    kind = metadata.get("rope.scaling.type", "none")
    metadata.get("rope.scaling.finetuned", False)
    if factors is not None and (factors != 1).any():
        if kind != "none":
            raise Refused(f"llama.rope.scaling.type: expected none beside {ROTARY_FACTORS}, found {kind}")
        return llama3_scaling(factors, theta, head_dim)
    if kind == "none":
        return None
    if kind not in ("linear", "yarn"):
        raise Refused(f"llama.rope.scaling.type: expected none, linear or yarn, found {kind}")
    scaling = {"rope_type": kind, "factor": metadata.number("rope.scaling.factor")}
    if kind == "yarn":
        scaling["original_max_position_embeddings"] = metadata.whole("rope.scaling.original_context_length")
        scaling["beta_fast"] = metadata.number("rope.scaling.yarn_beta_fast", 32)
        scaling["beta_slow"] = metadata.number("rope.scaling.yarn_beta_slow", 1)
    return scaling


def head_width(metadata, width, heads):
    """Channels of a head, of which all are turned."""
    channels = metadata.whole("attention.key_length", width // heads)
    for key in ("attention.value_length", "rope.dimension_count"):
        if metadata.whole(key, channels) != channels:
            raise Refused(f"llama.{key}: expected {channels}, the width of a head, found {metadata.whole(key)}")
    return channels


def configuration(metadata, tensors, dtype):
    if metadata.values.get("general.architecture") != "llama":
        found = metadata.values.get("general.architecture", "none")
        raise Refused(f"general.architecture: expected llama, found {found}")
    width, heads = metadata.whole("embedding_length"), metadata.whole("attention.head_count")
    if "token_embd.weight" not in tensors:
        raise Refused("expected the tensor token_embd.weight, found none")
    head_dim = head_width(metadata, width, heads)
    theta = metadata.number("rope.freq_base", 10000)
    factors = tensors[ROTARY_FACTORS] if ROTARY_FACTORS in tensors else None
    config = {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": int(tensors["token_embd.weight"].shape[-1]),
        "hidden_size": width,
        "intermediate_size": metadata.whole("feed_forward_length"),
        "num_hidden_layers": metadata.whole("block_count"),
        "num_attention_heads": heads,
        "num_key_value_heads": metadata.whole("attention.head_count_kv", heads),
        "head_dim": head_dim,
        "max_position_embeddings": metadata.whole("context_length"),
        "rms_norm_eps": metadata.number("attention.layer_norm_rms_epsilon"),
        "rope_theta": theta,
        "rope_scaling": rope_scaling(metadata, None if factors is None else numbers(factors), theta, head_dim),
        "tie_word_embeddings": "output.weight" not in tensors,
        "hidden_act": "silu",
        "attention_bias": False,
        "mlp_bias": False,
        "torch_dtype": dtype,
    }
    metadata.get("vocab_size", config["vocab_size"])
    if metadata.get("expert_count", 0) != 0:
        raise Refused(f"llama.expert_count: expected none, found {metadata.get('expert_count')}")
    metadata.get("expert_used_count", 0)
    metadata.refuse_others()
    return config


def generation_keys(metadata):
    """Where a text begins and ends; a chat has a token that ends a turn besides."""
    ids = {name: metadata.values.get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot", "padding")}
    ends = sorted({ids[name] for name in ("eos", "eot")} - {None})
    found = {"bos_token_id": ids["bos"], "eos_token_id": ends[0] if len(ends) == 1 else ends or None}
    return {**found, "pad_token_id": ids["padding"]}


def names_and_shapes(config):
    """For each tensor of the file its name in the folder and the shape it must have there."""
    sizes = {
        "V": config["vocab_size"],
        "C": config["hidden_size"],
        "F": config["intermediate_size"],
        "Q": config["num_attention_heads"] * config["head_dim"],
        "K": config["num_key_value_heads"] * config["head_dim"],
    }
    names = {name: value for name, value in MODEL.items() if name != "output" or not config["tie_word_embeddings"]}
    for block in range(config["num_hidden_layers"]):
        for name, (place, letters) in BLOCK.items():
            names[f"blk.{block}.{name}"] = (f"model.layers.{block}.{place}", letters)
    return {
        name + ".weight": (place + ".weight", [sizes[letter] for letter in letters])
        for name, (place, letters) in names.items()
    }


def numbers(tensor, rows=None):
    try:
        return gguf.dequantize(tensor.data[:rows], tensor.tensor_type)
    except NotImplementedError as error:
        raise Refused(f"{tensor.name}: expected a type that the package gguf dequantises, found"
                      f" {tensor.tensor_type.name}") from error


def check_tensors(tensors, expected):
    for name in expected.keys() - tensors.keys():
        raise Refused(f"expected the tensor {name}, found none")
    for name, tensor in tensors.items():
        if name not in expected and name != ROTARY_FACTORS:
            raise Refused(f"{name}: expected tensors of a plain Llama, found one that is not known here")
        shape = [int(extent) for extent in reversed(tensor.shape)]
        if name in expected and shape != expected[name][1]:
            raise Refused(f"{name}: expected shape {expected[name][1]}, found {shape}")
        numbers(tensor, rows=1)


def without_permutation(values, heads):
    """llama.cpp turns pairs of neighbours, the folder's model the two halves of a head."""
    return values.reshape(heads, -1, 2, values.shape[-1]).swapaxes(1, 2).reshape(values.shape)


def converted(tensor, config):
    values = numbers(tensor)
    if tensor.name.endswith(".attn_q.weight"):
        values = without_permutation(values, config["num_attention_heads"])
    if tensor.name.endswith(".attn_k.weight"):
        values = without_permutation(values, config["num_key_value_heads"])
    with numpy.errstate(over="ignore"):
        narrow = values.astype("<f2" if config["torch_dtype"] == "float16" else "<f4")
    if not numpy.isfinite(narrow).all():
        raise Refused(f"{tensor.name}: expected numbers that {config['torch_dtype']} holds, found others")
    return narrow.tobytes()


def write_safetensors(path, tensors, names, config):
    """Tensor by tensor, as few machines hold a large model twice; the file is there only once it is whole."""
    header, place = {"__metadata__": {"format": "pt"}}, 0
    dtype, size = ("F16", 2) if config["torch_dtype"] == "float16" else ("F32", 4)
    for name, shape in names.values():
        end = place + size * math.prod(shape)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [place, end]}
        place = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    aside = path.with_suffix(".part")
    try:
        with open(aside, "wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in names:
                file.write(converted(tensors[name], config))
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)


def byte_level(**options):
    return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True, **options}


def pre_tokenizer(split):
    if split is None:
        return byte_level()
    if isinstance(split, str):
        pattern = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
        return {"type": "Sequence", "pretokenizers": [pattern, byte_level(use_regex=False)]}
    return {"type": "Sequence", "pretokenizers": [split, byte_level()]}


def with_ends(tokens, first, last):
    """The template that puts the tokens of these ids around a text, or around each of two; none where both are None."""

    def around(sequence, kind):
        parts = [{"Sequence": {"id": sequence, "type_id": kind}}]
        for place, token in ((0, first), (2, last)):
            if token is not None:
                parts.insert(place, {"SpecialToken": {"id": tokens[token], "type_id": kind}})
        return parts

    special = {tokens[id]: {"id": tokens[id], "ids": [id], "tokens": [tokens[id]]} for id in {first, last} - {None}}
    if not special:
        return None
    pair = around("A", 0) + around("B", 1)
    return {"type": "TemplateProcessing", "single": around("A", 0), "pair": pair, "special_tokens": special}


def tokenizer(values):
    """tokenizer.json of the vocabulary in the file; Refused where there is none that can be said so."""

    def key(name, default=None):
        return values.get("tokenizer.ggml." + name, default)

    if key("model") != "gpt2":
        raise Refused(f"tokenizer.ggml.model: expected gpt2, a byte-level vocabulary, found {key('model', 'none')}")
    if key("pre") not in SPLITS:
        raise Refused(f"tokenizer.ggml.pre: expected one of {', '.join(SPLITS)}, found {key('pre', 'none')}")
    tokens, merges = key("tokens"), key("merges")
    if not tokens or not merges:
        raise Refused("tokenizer.ggml: expected tokens and merges, found none")
    kinds = key("token_type", [NORMAL] * len(tokens))
    for kind in set(kinds) - {NORMAL, CONTROL, USER_DEFINED, UNUSED}:
        raise Refused(f"tokenizer.ggml.token_type: expected types of a byte-level vocabulary, found {kind}")
    split, whole_words = SPLITS[key("pre")]
    # Added tokens stand behind the vocabulary; those within it must be in it, or the package tokenizers numbers anew.
    end = max((id + 1 for id, kind in enumerate(kinds) if kind in (NORMAL, UNUSED)), default=0)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [
            {"id": id, "content": token, **flags, "special": kind == CONTROL}
            for id, (token, kind) in enumerate(zip(tokens, kinds, strict=True))
            if kind in (CONTROL, USER_DEFINED)
        ],
        "normalizer": {"type": "NFC"} if "qwen" in key("pre") else None,
        "pre_tokenizer": pre_tokenizer(split),
        "post_processor": with_ends(
            tokens,
            key("bos_token_id") if key("add_bos_token", whole_words) else None,
            key("eos_token_id") if key("add_eos_token", False) else None,
        ),
        "decoder": byte_level(),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": whole_words,
            "vocab": {token: id for id, token in enumerate(tokens[:end])},
            "merges": merges,
        },
    }


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_tokenizer(folder, values):
    """With the template of a chat, where there is one; none of another model is left behind."""
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink(missing_ok=True)
    try:
        write_json(folder / "tokenizer.json", tokenizer(values))
    except Refused as error:
        print(f"no tokenizer.json: {error}", file=sys.stderr)
        return
    if "tokenizer.chat_template" in values:
        write_json(folder / "tokenizer_config.json", {"chat_template": values["tokenizer.chat_template"]})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=pathlib.Path, help="MODEL.gguf, of the architecture llama")
    parser.add_argument("folder", type=pathlib.Path, help="is made if need be; a model in it is overwritten")
    parser.add_argument("--dtype", choices=["float32", "float16"], default="float32")
    options = parser.parse_args()
    try:
        reader = gguf.GGUFReader(options.file)
        tensors = {tensor.name: tensor for tensor in reader.tensors}
        metadata = Metadata(reader.fields)
        config = {**configuration(metadata, tensors, options.dtype), **generation_keys(metadata)}
        names = names_and_shapes(config)
        check_tensors(tensors, names)
        options.folder.mkdir(parents=True, exist_ok=True)
        write_safetensors(options.folder / "model.safetensors", tensors, names, config)
    except (Refused, OSError, ValueError, TypeError, IndexError, KeyError) as error:
        sys.exit(f"{options.file}: {error}")
    write_json(options.folder / "config.json", config)
    write_tokenizer(options.folder, metadata.values)
    print(f"{len(names)} tensors in {options.folder}; ttt-lm verify {options.folder} says whether they are all")


if __name__ == "__main__":
    main()
