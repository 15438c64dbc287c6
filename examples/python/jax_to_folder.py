#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a checkpoint of the published JAX TTT code into the model folder that the published PyTorch class reads too:

    python3 jax_to_folder.py streaming_params FOLDER
    python3 jax_to_folder.py streaming_train_state FOLDER --base-learning-rate 0.1

Sizes, TTT-Linear or TTT-MLP, the backbone and whether the head is tied follow from the tensors; what does not are the
options below, with the values of the published experiments. Weights become float32, which holds what they were in bit
for bit. Needs nothing but Python; the checkpoint is read as data, no object in it is brought to life.
"""
import argparse
import array
import json
import mmap
import pathlib
import re
import struct
import sys

BLOCK = r"model/h/(\d+)/"
LAYER = BLOCK + "seq_modeling_block/"
# Path in the checkpoint, name in the folder, and what happens to the numbers.
NAMES = [
    (r"model/wte/embedding", "model.embed_tokens.weight", "same"),
    (r"model/ln_f/kernel", "model.norm.weight", "same"),
    (r"lm_head/kernel", "lm_head.weight", "transpose"),
    (BLOCK + "(seq_norm|ffn_norm)/kernel", "model.layers.{}.{}.weight", "same"),
    (BLOCK + "feed_forward/w1/kernel", "model.layers.{}.mlp.gate_proj.weight", "transpose"),
    (BLOCK + "feed_forward/w2/kernel", "model.layers.{}.mlp.down_proj.weight", "transpose"),
    (BLOCK + "feed_forward/w3/kernel", "model.layers.{}.mlp.up_proj.weight", "transpose"),
    (BLOCK + "conv/conv_norm/kernel", "model.layers.{}.conv.norm.weight", "same"),
    (BLOCK + "conv/conv1/kernel", "model.layers.{}.conv.conv.weight", "convolution"),
    (BLOCK + "conv/conv1/bias", "model.layers.{}.conv.conv.bias", "same"),
    (LAYER + "w([qkvog])/kernel", "model.layers.{}.seq_modeling_block.{}_proj.weight", "transpose"),
    (LAYER + "conv_([qk])/kernel", "model.layers.{}.seq_modeling_block.conv_{}.weight", "convolution"),
    (LAYER + "conv_([qk])/bias", "model.layers.{}.seq_modeling_block.conv_{}.bias", "same"),
    (LAYER + "learnable_token_idx", "model.layers.{}.seq_modeling_block.learnable_token_idx", "same"),
    (LAYER + "learnable_ttt_lr/kernel", "model.layers.{}.seq_modeling_block.learnable_ttt_lr_weight", "column"),
    (LAYER + "learnable_ttt_lr/bias", "model.layers.{}.seq_modeling_block.learnable_ttt_lr_bias", "same"),
    (LAYER + "ttt_norm/scale", "model.layers.{}.seq_modeling_block.ttt_norm_weight", "same"),
    (LAYER + "ttt_norm/bias", "model.layers.{}.seq_modeling_block.ttt_norm_bias", "same"),
    (LAYER + "post_norm/scale", "model.layers.{}.seq_modeling_block.post_norm.weight", "same"),
    (LAYER + "post_norm/bias", "model.layers.{}.seq_modeling_block.post_norm.bias", "same"),
    (LAYER + "ttt_dense_0", "model.layers.{}.seq_modeling_block.W1", "same"),
    (LAYER + "ttt_bias_0", "model.layers.{}.seq_modeling_block.b1", "same"),
    (LAYER + "ttt_dense_1", "model.layers.{}.seq_modeling_block.W2", "same"),
    (LAYER + "ttt_bias_1", "model.layers.{}.seq_modeling_block.b2", "same"),
]


class Refused(Exception):
    """What is wrong with the checkpoint, in one line."""


class MessagePack:
    """Values of a msgpack stream, one after another: those kinds that such a checkpoint consists of."""

    def __init__(self, data):
        self.data, self.place = data, 0

    def take(self, count):
        if count > len(self.data) - self.place:
            raise Refused(f"byte {self.place}: expected {count} bytes, found the end")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, format):
        return struct.unpack(">" + format, self.take(struct.calcsize(format)))[0]

    def value(self, depth=0):
        if depth > 16:
            raise Refused(f"byte {self.place}: expected at most 16 levels, found more")
        kind = self.take(1)[0]
        if kind < 0x80:
            return kind
        if 0x90 <= kind < 0xA0:
            return [self.value(depth + 1) for _ in range(kind & 0x0F)]
        if 0xA0 <= kind < 0xC0:
            return self.take(kind & 0x1F)
        if kind in (0xC4, 0xC5, 0xC6, 0xD9, 0xDA, 0xDB):  # bytes and texts
            return self.take(self.number({0xC4: "B", 0xD9: "B", 0xC5: "H", 0xDA: "H"}.get(kind, "I")))
        if kind in (0xC7, 0xC8, 0xC9):  # extensions
            length = self.number({0xC7: "B", 0xC8: "H", 0xC9: "I"}[kind])
            return ("extension", self.number("b"), self.take(length))
        if 0xD4 <= kind < 0xD9:
            return ("extension", self.number("b"), self.take(1 << (kind - 0xD4)))
        if 0xCC <= kind < 0xD0:
            return self.number("BHIQ"[kind - 0xCC])
        raise Refused(f"byte {self.place - 1}: expected a path, an array or their parts, found type 0x{kind:02x}")


def to_float32(data, dtype, path):
    if dtype == "float32":
        return bytes(data)
    if dtype == "bfloat16":  # the upper half of a float32
        wide = bytearray(2 * len(data))
        wide[2::4], wide[3::4] = data[0::2], data[1::2]
        return bytes(wide)
    if dtype == "float16":
        return struct.pack(f"<{len(data) // 2}f", *struct.unpack(f"<{len(data) // 2}e", data))
    raise Refused(f"{path}: expected float32, bfloat16 or float16, found {dtype}")


def read_array(packed, path):
    value = MessagePack(packed).value()
    if not (isinstance(value, tuple) and value[1] == 1):
        raise Refused(f"{path}: expected an array, found something else")
    shape, dtype, data = MessagePack(value[2]).value()
    data = to_float32(data, bytes(dtype).decode(), path)
    count = 1
    for extent in shape:
        count *= extent
    if 4 * count != len(data):
        raise Refused(f"{path}: expected {count} numbers in shape {shape}, found {len(data) // 4}")
    return shape, data


def read_checkpoint(path):
    """Arrays by path; of the state of a training its parameters only."""
    arrays = {}
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as whole:
        stream = MessagePack(whole)
        while stream.place < len(whole):
            entry = stream.value()
            if not (isinstance(entry, list) and len(entry) == 2 and isinstance(entry[0], list)):
                raise Refused(f"byte {stream.place}: expected a path and an array, found something else")
            name = "/".join(bytes(part).decode() for part in entry[0])
            if name.startswith("params/params/"):
                name = name.removeprefix("params/params/")
            elif name.split("/")[0] in ("opt_state", "step"):
                continue
            arrays[name] = read_array(entry[1], name)
    return arrays


def transposed(shape, data):
    rows, columns = shape
    numbers = array.array("f", data)
    return [columns, rows], b"".join(numbers[column::columns].tobytes() for column in range(columns))


def converted(shape, data, how):
    if how == "transpose":
        return transposed(shape, data)
    if how == "convolution":  # [taps, 1, channels]
        (channels, taps), data = transposed([shape[0], shape[2]], data)
        return [channels, 1, taps], data
    if how == "column":  # [heads, width, 1]
        return [shape[0], 1, shape[1]], data
    return list(shape), data


def convert(arrays):
    tensors = {}
    for path, (shape, data) in arrays.items():
        for pattern, name, how in NAMES:
            match = re.fullmatch(pattern, path)
            if match:
                tensors[name.format(*match.groups())] = converted(shape, data, how)
                break
        else:
            raise Refused(f"{path}: expected a tensor of a TTT model, found one of something else")
    return tensors


def configuration(tensors, options):
    def shape(name):
        if name not in tensors:
            raise Refused(f"expected the tensor {name}, found none")
        return tensors[name][0]

    block, layer = "model.layers.0.", "model.layers.0.seq_modeling_block."
    mamba = block + "conv.conv.weight" in tensors
    mlp = layer + "W2" in tensors
    base = options.base_learning_rate
    return {
        "architectures": ["TTTForCausalLM"],
        "model_type": "ttt",
        "vocab_size": shape("model.embed_tokens.weight")[0],
        "hidden_size": shape("model.embed_tokens.weight")[1],
        "intermediate_size": shape(block + "mlp.gate_proj.weight")[0],
        "num_hidden_layers": sum(name.endswith(".seq_norm.weight") for name in tensors),
        "num_attention_heads": shape(layer + "W1")[0],
        "rms_norm_eps": options.norm_epsilon,
        "rope_theta": options.rope_theta,
        "tie_word_embeddings": "lm_head.weight" not in tensors,
        "hidden_act": "silu",
        "ttt_layer_type": "mlp" if mlp else "linear",
        "ttt_base_lr": base if base is not None else (0.1 if mlp else 1.0),
        "mini_batch_size": shape(layer + "learnable_token_idx")[0],
        "pre_conv": mamba,
        "conv_kernel": shape(block + "conv.conv.weight")[2] if mamba else 4,
        "use_gate": layer + "g_proj.weight" in tensors,
        "share_qk": layer + "k_proj.weight" not in tensors,
        "max_position_embeddings": 2048,
        "torch_dtype": "float32",
    }


def write_safetensors(path, tensors):
    header, place = {"__metadata__": {"format": "pt"}}, 0
    for name in sorted(tensors):
        shape, data = tensors[name]
        header[name] = {"dtype": "F32", "shape": list(shape), "data_offsets": [place, place + len(data)]}
        place += len(data)
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            file.write(tensors[name][1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkpoint", type=pathlib.Path, help="streaming_params or streaming_train_state")
    parser.add_argument("folder", type=pathlib.Path, help="is made if need be; a model in it is overwritten")
    parser.add_argument("--base-learning-rate", type=float, help="ttt_base_lr; else 1 for TTT-Linear, 0.1 for TTT-MLP")
    parser.add_argument("--rope-theta", type=float, default=10000.0)
    parser.add_argument("--norm-epsilon", type=float, default=1e-6)
    options = parser.parse_args()
    try:
        tensors = convert(read_checkpoint(options.checkpoint))
        config = configuration(tensors, options)
    except (Refused, OSError, ValueError, TypeError, IndexError) as error:
        sys.exit(f"{options.checkpoint}: {error}")
    options.folder.mkdir(parents=True, exist_ok=True)
    write_safetensors(options.folder / "model.safetensors", tensors)
    (options.folder / "config.json").write_text(json.dumps(config, indent=2) + "\n")
    print(f"{len(tensors)} tensors in {options.folder}; ttt-lm verify {options.folder} says whether they are all")


if __name__ == "__main__":
    main()
