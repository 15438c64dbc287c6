# SPDX-License-Identifier: MIT
"""gguf_to_folder_test.py TTT_LM: what gguf_to_folder.py makes of GGUF files as llama.cpp's converter writes them.

Without the package gguf the exit status is 77, skipped."""
import json
import pathlib
import struct
import subprocess
import sys
import tempfile
import unittest

try:
    import gguf
    import numpy
except ImportError:
    print("gguf_to_folder_test.py: the package gguf is not installed")
    sys.exit(77)

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
PLACES = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}
TYPES = gguf.GGMLQuantizationType
SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
}


def read_safetensors(path):
    data = path.read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    header.pop("__metadata__", None)
    types = {"F32": "<f4", "F16": "<f2"}

    def values(entry):
        bytes_of_it = data[8 + size :][slice(*entry["data_offsets"])]
        return numpy.frombuffer(bytes_of_it, types[entry["dtype"]]).reshape(entry["shape"])

    return {name: values(entry) for name, entry in header.items()}


def random_weights(tied=False, vocabulary=50, head_dim=16):
    """Of the model SMALL, by the names of its folder."""
    random = numpy.random.default_rng(1)
    width, hidden = SMALL["hidden_size"], SMALL["intermediate_size"]
    queries, keys = SMALL["num_attention_heads"] * head_dim, SMALL["num_key_value_heads"] * head_dim
    shapes = {"model.embed_tokens": (vocabulary, width), "model.norm": (width,)}
    if not tied:
        shapes["lm_head"] = (vocabulary, width)
    sizes = [(width,), (queries, width), (keys, width), (keys, width), (width, queries), (width,), (hidden, width)]
    for block in range(SMALL["num_hidden_layers"]):
        for place, shape in zip(PLACES.values(), [*sizes, (hidden, width), (width, hidden)], strict=True):
            shapes[f"model.layers.{block}.{place}"] = shape
    return {name + ".weight": random.standard_normal(shape, numpy.float32) for name, shape in shapes.items()}


def permuted(weights, heads):
    """LlamaModel.permute of llama.cpp's converter."""
    rows = weights.shape[0]
    return weights.reshape(heads, 2, rows // heads // 2, *weights.shape[1:]).swapaxes(1, 2).reshape(weights.shape)


def stored_name(name):
    names = {"model.embed_tokens.weight": "token_embd", "model.norm.weight": "output_norm", "lm_head.weight": "output"}
    if name in names:
        return names[name] + ".weight"
    block, place = name.removeprefix("model.layers.").removesuffix(".weight").split(".", 1)
    return f"blk.{block}.{ {place: name for name, place in PLACES.items()}[place]}.weight"


def write_gguf(path, config, weights, kind=TYPES.F32, change=lambda writer: None, architecture="llama"):
    """`change` adds to the keys and tensors."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    change(writer)
    for name, values in weights.items():
        for part, heads in (("q_proj", "num_attention_heads"), ("k_proj", "num_key_value_heads")):
            if part in name:
                values = permuted(values, config[heads])
        stored = kind if values.ndim == 2 else TYPES.F32
        writer.add_tensor(stored_name(name), gguf.quantize(values, stored), raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def llama3_factors(factor, theta, head_dim):
    """The loop of llama.cpp's converter."""
    factors = []
    for channel in range(0, head_dim, 2):
        wavelength = 2 * numpy.pi * theta ** (channel / head_dim)
        if wavelength < 8192 / 4:
            factors.append(1)
        elif wavelength > 8192:
            factors.append(factor)
        else:
            smooth = (8192 / wavelength - 1) / (4 - 1)
            factors.append(1 / ((1 - smooth) / factor + smooth))
    return numpy.array(factors, numpy.float32)


class GgufToFolder(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.file, self.folder = pathlib.Path(temporary.name) / "model.gguf", pathlib.Path(temporary.name) / "folder"

    def run_script(self, *options):
        script = ROOT / "examples" / "python" / "gguf_to_folder.py"
        command = [sys.executable, "-B", script, self.file, self.folder, *options]
        return subprocess.run(command, capture_output=True, text=True)

    def convert(self, *options):
        outcome = self.run_script(*options)
        self.assertEqual(outcome.returncode, 0, outcome.stderr)
        return outcome

    def config(self):
        return json.loads((self.folder / "config.json").read_text())

    def refused(self, *parts):
        outcome = self.run_script()
        self.assertEqual(outcome.returncode, 1, outcome.stdout)
        self.assertEqual(outcome.stderr.count("\n"), 1, outcome.stderr)
        for part in ("model.gguf: ", *parts):
            self.assertIn(part, outcome.stderr)
        self.assertFalse(self.folder.exists())

    def refused_with(self, change, *parts, weights=None, **options):
        write_gguf(self.file, SMALL, weights or random_weights(), change=change, **options)
        self.refused(*parts)

    def test_every_tensor_is_what_was_stored_before_the_permutation(self):
        for kind in (TYPES.F32, TYPES.F16, TYPES.BF16, TYPES.Q8_0, TYPES.Q4_1):
            for dtype, number in (("float32", "<f4"), ("float16", "<f2")):
                with self.subTest(kind=kind.name, dtype=dtype):
                    weights = random_weights(tied=kind == TYPES.F16)
                    write_gguf(self.file, SMALL, weights, kind)
                    self.convert("--dtype", dtype)
                    found = read_safetensors(self.folder / "model.safetensors")
                    self.assertEqual(found.keys(), weights.keys())
                    for name, values in weights.items():
                        stored = kind if values.ndim == 2 else TYPES.F32
                        expected = gguf.dequantize(gguf.quantize(values, stored), stored).astype(number)
                        self.assertEqual(found[name].dtype, expected.dtype)
                        numpy.testing.assert_array_equal(found[name], expected, name)
                    self.assertEqual(self.config()["tie_word_embeddings"], kind == TYPES.F16)

    def test_models_give_the_logits_they_gave_before(self):
        def linear(writer):
            writer.add_rope_scaling_type(gguf.RopeScalingType.LINEAR)
            writer.add_rope_scaling_factor(4)

        def yarn(writer):
            writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
            writer.add_rope_scaling_factor(4)
            writer.add_rope_scaling_orig_ctx_len(64)

        for name, change in (
            ("model/llama", lambda writer: None),
            ("families/model/llama_linear", linear),
            ("families/model/llama_yarn", yarn),
        ):
            with self.subTest(name=name):
                config = json.loads((GOLDEN / name / "config.json").read_text())
                write_gguf(self.file, config, read_safetensors(GOLDEN / name / "model.safetensors"), change=change)
                self.convert()
                self.assertEqual(self.config()["model_type"], "llama")
                command = [sys.argv[1], "verify", self.folder, GOLDEN / name / "golden.safetensors"]
                outcome = subprocess.run(command, capture_output=True, text=True)
                self.assertEqual(outcome.returncode, 0, outcome.stdout + outcome.stderr)

    def test_keys_say_what_the_file_says(self):
        def change(writer):
            writer.add_key_length(20)
            writer.add_value_length(20)
            writer.add_rope_dimension_count(20)
            writer.add_bos_token_id(1)
            writer.add_eos_token_id(2)
            writer.add_eot_token_id(3)

        write_gguf(self.file, SMALL, random_weights(head_dim=20), change=change)
        self.convert()
        config = self.config()
        expected = {"head_dim": 20, "vocab_size": 50, "bos_token_id": 1, "eos_token_id": [2, 3], **SMALL}
        for name, value in expected.items():
            self.assertEqual(config[name], value, name)

    def test_the_factors_of_llama_3_are_said_and_others_refused(self):
        config = {**SMALL, "rope_theta": 500000.0}
        factors = llama3_factors(32.0, 500000.0, 16)
        add = lambda writer: writer.add_tensor("rope_freqs.weight", factors)  # noqa: E731
        write_gguf(self.file, config, random_weights(), change=add)
        self.convert()
        scaling = self.config()["rope_scaling"]
        self.assertEqual(scaling["rope_type"], "llama3")
        self.assertEqual((scaling["factor"], scaling["original_max_position_embeddings"]), (32, 8192))
        self.folder = self.folder.with_name("other")
        factors[1] *= 1.01
        write_gguf(self.file, config, random_weights(), change=add)
        self.refused("rope_freqs.weight", "Llama 3.1")

    def test_what_is_not_known_is_refused_by_name(self):
        nothing = lambda writer: None  # noqa: E731
        self.refused_with(nothing, "general.architecture", "llama", "qwen2", architecture="qwen2")
        self.refused_with(lambda writer: writer.add_expert_count(8), "llama.expert_count", "8")
        self.refused_with(lambda writer: writer.add_sliding_window(9), "llama.attention.sliding_window")
        self.refused_with(lambda writer: writer.add_rope_dimension_count(8), "llama.rope.dimension_count", "16", "8")
        longrope = gguf.RopeScalingType.LONGROPE
        self.refused_with(lambda writer: writer.add_rope_scaling_type(longrope), "llama.rope.scaling.type", "longrope")
        self.refused_with(lambda writer: writer.add_rope_scaling_factor(2), "llama.rope.scaling.factor")
        bias = numpy.zeros(64, numpy.float32)
        self.refused_with(lambda writer: writer.add_tensor("blk.0.attn_q.bias", bias), "blk.0.attn_q.bias")
        missing = random_weights()
        del missing["model.layers.1.mlp.up_proj.weight"]
        self.refused_with(nothing, "blk.1.ffn_up.weight", "none", weights=missing)
        self.refused_with(nothing, "blk.0.attn_q.weight", "[64, 64]", "[80, 64]", weights=random_weights(head_dim=20))
        whole = self.file.read_bytes()
        for damaged in (b"", b"GGUF", whole[:100], whole[:-5000], b"x" + whole):
            self.file.write_bytes(damaged)
            self.refused()

    def test_numbers_that_float16_does_not_hold_are_refused(self):
        weights = random_weights()
        weights["model.norm.weight"][3] = 1e6
        write_gguf(self.file, SMALL, weights)
        outcome = self.run_script("--dtype", "float16")
        self.assertEqual(outcome.returncode, 1)
        self.assertIn("output_norm.weight: ", outcome.stderr)
        self.assertEqual(list(self.folder.iterdir()), [])

    def write_vocabulary(self, path, pre, model="gpt2", front=0):
        """The tokens and merges of a tokenizer.json, so many of the last in front."""
        source = json.loads(path.read_text(encoding="utf-8"))
        tokens = dict(source["model"]["vocab"])
        added = {entry["content"]: 3 if entry["special"] else 4 for entry in source["added_tokens"]}
        tokens.update({entry["content"]: entry["id"] for entry in source["added_tokens"]})
        listed = sorted(tokens, key=tokens.get)
        listed = listed[len(listed) - front :] + listed[: len(listed) - front]
        merges = source["model"]["merges"]

        def change(writer):
            writer.add_tokenizer_model(model)
            writer.add_tokenizer_pre(pre)
            writer.add_token_list(listed)
            writer.add_token_types([added.get(token, 1) for token in listed])
            writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in merges])
            writer.add_bos_token_id(tokens[source["added_tokens"][0]["content"]])
            writer.add_chat_template("a template")

        write_gguf(self.file, SMALL, random_weights(vocabulary=len(listed)), change=change)
        return source

    def test_the_tokenizer_is_what_the_vocabulary_was_made_of(self):
        families = GOLDEN / "families" / "tokenizer"
        for path, pre, begins in (
            (families / "smollm2.json", "smollm", False),
            (families / "qwen2_qwen3.json", "qwen2", False),
            (families / "mistral_tekken.json", "tekken", True),
            (ROOT / "tests" / "io" / "tokenizer" / "llama3.json", "llama-bpe", True),
            (ROOT / "tests" / "io" / "tokenizer" / "gpt2.json", "gpt-2", False),
        ):
            with self.subTest(name=path.name):
                source = self.write_vocabulary(path, pre)
                self.assertEqual(self.convert().stderr, "")
                found = json.loads((self.folder / "tokenizer.json").read_text(encoding="utf-8"))
                for key in ("vocab", "ignore_merges"):
                    self.assertEqual(found["model"][key], source["model"].get(key, False), key)
                self.assertEqual([m.split(" ") for m in found["model"]["merges"]],
                                 [m.split(" ") if isinstance(m, str) else m for m in source["model"]["merges"]])
                self.assertEqual([(t["id"], t["content"], t["special"]) for t in found["added_tokens"]],
                                 [(t["id"], t["content"], t["special"]) for t in source["added_tokens"]])
                self.assertEqual(found["normalizer"], source["normalizer"])
                self.assertEqual(splits(found["pre_tokenizer"]), splits(source["pre_tokenizer"]))
                first = [{"SpecialToken": {"id": source["added_tokens"][0]["content"], "type_id": 0}}] if begins else []
                self.assertEqual((found["post_processor"] or {"single": [0]})["single"][:-1], first)
                self.assertIn("a template", (self.folder / "tokenizer_config.json").read_text())
                command = [sys.argv[1], "generate", self.folder, "--prompt", "Hello 12", "--tokens", "1"]
                outcome = subprocess.run(command, capture_output=True, text=True, errors="replace")
                self.assertEqual(outcome.returncode, 0, outcome.stderr)

    def test_added_tokens_within_the_vocabulary_keep_their_ids(self):
        self.write_vocabulary(GOLDEN / "families" / "tokenizer" / "smollm2.json", "smollm", front=2)
        self.convert()
        found = json.loads((self.folder / "tokenizer.json").read_text(encoding="utf-8"))
        self.assertEqual([(t["id"], t["content"]) for t in found["added_tokens"]],
                         [(0, "<|endoftext|>"), (1, "<|im_start|>")])
        self.assertEqual(list(found["model"]["vocab"].values()), list(range(642)))
        self.assertEqual(found["model"]["vocab"]["<|im_start|>"], 1)

    def test_a_vocabulary_that_cannot_be_said_leaves_no_tokenizer(self):
        path = GOLDEN / "families" / "tokenizer" / "smollm2.json"
        self.write_vocabulary(path, "smollm")
        self.convert()
        for pre, model, part in (("poro-chat", "gpt2", "poro-chat"), ("smollm", "llama", "tokenizer.ggml.model")):
            self.write_vocabulary(path, pre, model)
            self.assertIn(part, self.convert().stderr)
            self.assertFalse((self.folder / "tokenizer.json").exists())


def splits(pre_tokenizer):
    """What splits a text, without what only moves offsets."""
    parts = pre_tokenizer.get("pretokenizers", [pre_tokenizer])
    return [{key: value for key, value in part.items() if key != "trim_offsets"} for part in parts]


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
