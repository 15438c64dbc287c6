# SPDX-License-Identifier: MIT
"""One model twice, both in float32: a GGUF file that llama.cpp reads, and the folder that we read."""

import collections
import json
import pathlib
import subprocess
import sys

import gguf
import numpy

CONVERTER = pathlib.Path(__file__).resolve().parents[2] / "examples/python/gguf_to_folder.py"
CONTEXT, VOCABULARY = 4096, 512

# Blocks of Gated DeltaNet (width, heads and their width) and, as the last, one of attention; each with an MLP.
Hybrid = collections.namedtuple("Hybrid", "blocks width heads head_width hidden attention_heads key_heads attention_width")
HYBRIDS = {
    "gated-delta-net-768": Hybrid(8, 768, 12, 64, 64, 1, 1, 64),
    "gated-delta-net-1024": Hybrid(6, 1024, 16, 128, 64, 1, 1, 64),
    "qwen3.5-0.8b-blocks": Hybrid(4, 1024, 16, 128, 3584, 8, 2, 256),
}


def write(writer, path):
    """The file is there only once it is whole."""
    writer.write_header_to_file(path.with_suffix(".part"))
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    path.with_suffix(".part").rename(path)


def dequantised(source, path):
    """A file with the numbers that quantised weights stand for."""
    reader = gguf.GGUFReader(source)
    values = {name: field.contents() for name, field in reader.fields.items() if not name.startswith("GGUF.")}
    writer = gguf.GGUFWriter(None, values.pop("general.architecture"))
    values["general.file_type"] = int(gguf.LlamaFileType.ALL_F32)
    for name, value in values.items():
        types = reader.fields[name].types if name in reader.fields else [gguf.GGUFValueType.UINT32]
        writer.add_key_value(name, value, types[0], types[-1] if len(types) > 1 else None)
    for tensor in reader.tensors:
        writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32))
    write(writer, path)


def of_file(source, folder):
    """A Llama in a GGUF file, as the file and the folder of its numbers."""
    model = folder / source.stem
    if not (folder / f"{source.stem}.gguf").exists():
        subprocess.run([sys.executable, str(CONVERTER), str(source), str(model)], check=True, stdout=sys.stderr)
        dequantised(source, folder / f"{source.stem}.gguf")
    return folder / f"{source.stem}.gguf", model


class HybridWriter:
    """Random weights, by their names in the folder and in the file: norms of the folder are times 1 + weight."""

    def __init__(self, hybrid):
        self.hybrid, self.random, self.tensors = hybrid, numpy.random.default_rng(1), {}
        self.writer = gguf.GGUFWriter(None, "qwen35")

    def normal(self, *shape, scale=None):
        return (self.random.standard_normal(shape) * (scale or shape[-1] ** -0.5)).astype(numpy.float32)

    def put(self, name, name_in_file, values, as_in_file=lambda values: values):
        self.tensors[name] = values
        self.writer.add_tensor(name_in_file, numpy.ascontiguousarray(as_in_file(values), numpy.float32))

    def matrix(self, name, name_in_file, rows, columns):
        self.put(name + ".weight", name_in_file + ".weight", self.normal(rows, columns))

    def norm(self, name, name_in_file, width):
        self.put(name + ".weight", name_in_file + ".weight", self.normal(width, scale=0.1), lambda values: 1 + values)

    def weights(self):
        hybrid = self.hybrid
        embedding = self.normal(VOCABULARY, hybrid.width, scale=1)
        self.put("model.embed_tokens.weight", "token_embd.weight", embedding)
        self.norm("model.norm", "output_norm", hybrid.width)
        for block in range(hybrid.blocks):
            name, in_file = f"model.layers.{block}.", f"blk.{block}."
            self.norm(name + "input_layernorm", in_file + "attn_norm", hybrid.width)
            self.norm(name + "post_attention_layernorm", in_file + "post_attention_norm", hybrid.width)
            for part, rows, columns in (
                ("gate", hybrid.hidden, hybrid.width),
                ("up", hybrid.hidden, hybrid.width),
                ("down", hybrid.width, hybrid.hidden),
            ):
                self.matrix(f"{name}mlp.{part}_proj", f"{in_file}ffn_{part}", rows, columns)
            if block + 1 < hybrid.blocks:
                self.gated_delta_net(name + "linear_attn.", in_file)
            else:
                self.attention(name + "self_attn.", in_file)

    def gated_delta_net(self, name, in_file):
        width, heads = self.hybrid.width, self.hybrid.heads
        inner = heads * self.hybrid.head_width
        self.matrix(name + "in_proj_qkv", in_file + "attn_qkv", 3 * inner, width)
        self.matrix(name + "in_proj_z", in_file + "attn_gate", inner, width)
        self.matrix(name + "in_proj_a", in_file + "ssm_alpha", heads, width)
        self.matrix(name + "in_proj_b", in_file + "ssm_beta", heads, width)
        self.matrix(name + "out_proj", in_file + "ssm_out", width, inner)
        taps = self.normal(3 * inner, 1, 4)
        self.put(name + "conv1d.weight", in_file + "ssm_conv1d.weight", taps, lambda values: values[:, 0])
        self.put(name + "dt_bias", in_file + "ssm_dt.bias", self.normal(heads, scale=1) - 2)
        self.put(name + "A_log", in_file + "ssm_a", self.normal(heads, scale=0.5), lambda values: -numpy.exp(values))
        self.put(name + "norm.weight", in_file + "ssm_norm.weight", 1 + self.normal(self.hybrid.head_width, scale=0.1))

    def attention(self, name, in_file):
        hybrid = self.hybrid
        queries, keys = (heads * hybrid.attention_width for heads in (hybrid.attention_heads, hybrid.key_heads))
        self.matrix(name + "q_proj", in_file + "attn_q", 2 * queries, hybrid.width)
        self.matrix(name + "k_proj", in_file + "attn_k", keys, hybrid.width)
        self.matrix(name + "v_proj", in_file + "attn_v", keys, hybrid.width)
        self.matrix(name + "o_proj", in_file + "attn_output", hybrid.width, queries)
        self.norm(name + "q_norm", in_file + "attn_q_norm", hybrid.attention_width)
        self.norm(name + "k_norm", in_file + "attn_k_norm", hybrid.attention_width)

    def keys(self):
        hybrid, writer = self.hybrid, self.writer
        sections = hybrid.attention_width // 8 * 3 // 8
        writer.add_block_count(hybrid.blocks)
        writer.add_context_length(CONTEXT)
        writer.add_embedding_length(hybrid.width)
        writer.add_feed_forward_length(hybrid.hidden)
        writer.add_head_count(hybrid.attention_heads)
        writer.add_head_count_kv(hybrid.key_heads)
        writer.add_key_length(hybrid.attention_width)
        writer.add_value_length(hybrid.attention_width)
        writer.add_layer_norm_rms_eps(1e-6)
        writer.add_rope_freq_base(1e7)
        writer.add_rope_dimension_count(hybrid.attention_width // 4)
        writer.add_rope_dimension_sections([sections, sections, hybrid.attention_width // 8 - 2 * sections, 0])
        writer.add_ssm_conv_kernel(4)
        writer.add_ssm_inner_size(hybrid.heads * hybrid.head_width)
        writer.add_ssm_state_size(hybrid.head_width)
        writer.add_ssm_time_step_rank(hybrid.heads)
        writer.add_ssm_group_count(hybrid.heads)
        writer.add_full_attention_interval(hybrid.blocks)
        writer.add_tokenizer_model("no_vocab")
        writer.add_vocab_size(VOCABULARY)
        writer.add_file_type(gguf.LlamaFileType.ALL_F32)

    def config(self):
        hybrid = self.hybrid
        return {
            "architectures": ["Qwen3_5ForCausalLM"],
            "model_type": "qwen3_5_text",
            "dtype": "float32",
            "attn_output_gate": True,
            "full_attention_interval": hybrid.blocks,
            "layer_types": ["linear_attention"] * (hybrid.blocks - 1) + ["full_attention"],
            "head_dim": hybrid.attention_width,
            "hidden_act": "silu",
            "hidden_size": hybrid.width,
            "intermediate_size": hybrid.hidden,
            "linear_conv_kernel_dim": 4,
            "linear_key_head_dim": hybrid.head_width,
            "linear_value_head_dim": hybrid.head_width,
            "linear_num_key_heads": hybrid.heads,
            "linear_num_value_heads": hybrid.heads,
            "max_position_embeddings": CONTEXT,
            "num_attention_heads": hybrid.attention_heads,
            "num_hidden_layers": hybrid.blocks,
            "num_key_value_heads": hybrid.key_heads,
            "rms_norm_eps": 1e-6,
            "rope_parameters": {"partial_rotary_factor": 0.25, "rope_theta": 10000000, "rope_type": "default"},
            "tie_word_embeddings": True,
            "vocab_size": VOCABULARY,
        }


def safetensors(tensors):
    """The bytes of a file of float32 tensors."""
    header, end = {}, 0
    for name, values in tensors.items():
        header[name] = {"dtype": "F32", "shape": values.shape, "data_offsets": [end, end + values.nbytes]}
        end += values.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return b"".join([len(text).to_bytes(8, "little"), text, *(values.tobytes() for values in tensors.values())])


def hybrid(name, folder):
    """One of HYBRIDS, with random weights."""
    path, model = folder / f"{name}.gguf", folder / name
    if not path.exists():
        model.mkdir(parents=True, exist_ok=True)
        made = HybridWriter(HYBRIDS[name])
        made.keys()
        made.weights()
        (model / "model.safetensors").write_bytes(safetensors(made.tensors))
        (model / "config.json").write_text(json.dumps(made.config(), indent=2) + "\n", encoding="utf-8")
        write(made.writer, path)
    return path, model
