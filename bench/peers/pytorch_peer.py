# SPDX-License-Identifier: MIT
"""The published PyTorch TTT layers, and attention as one writes it in PyTorch: forward, backward, decode, training."""

import argparse
import sys
import warnings

import protocol

warnings.filterwarnings("ignore")
parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--source", required=True)
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()
protocol.pin(options.threads)
sys.path.insert(0, options.source)

import torch  # noqa: E402
import ttt as published  # noqa: E402
from torch.nn import functional  # noqa: E402

torch.set_num_threads(options.threads)
LEARNING_RATES = {"ttt-linear": 1.0, "ttt-mlp": 0.1}
CONTEXT = 256  # of training


class Attention(torch.nn.Module):
    """Causal attention with one projection for q, k and v, over a sequence or over a cache of earlier tokens."""

    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.inward = torch.nn.Linear(width, 3 * width, bias=False)
        self.outward = torch.nn.Linear(width, width, bias=False)

    def project(self, x):
        batch, tokens, width = x.shape
        return self.inward(x).view(batch, tokens, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)

    def forward(self, x, position_ids=None):
        q, k, v = self.project(x)
        y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.outward(y.transpose(1, 2).reshape(x.shape))

    def decode(self, x, keys, values):
        """`x` is the last token of a cache that has room for it."""
        q, k, v = self.project(x)
        keys[:, :, -1:], values[:, :, -1:] = k, v
        y = functional.scaled_dot_product_attention(q, keys, values)
        return self.outward(y.transpose(1, 2).reshape(x.shape))


def published_config(layer, width, heads, blocks=1, **more):
    return published.TTTConfig(
        hidden_size=width,
        num_attention_heads=heads,
        num_hidden_layers=blocks,
        ttt_layer_type=layer.removeprefix("ttt-"),
        ttt_base_lr=LEARNING_RATES[layer],
        **{"intermediate_size": width * 8 // 3, "vocab_size": 8, **more}
    )


def make_layer(layer, width, heads):
    if layer == "attention":
        return Attention(width, heads)
    if layer == "attention-all-bfloat16":
        return Attention(width, heads).bfloat16()
    kinds = {"ttt-linear": published.TTTLinear, "ttt-mlp": published.TTTMLP}
    return kinds[layer](published_config(layer, width, heads), 0)


def sequence(request):
    width, tokens, min_time = request["width"], request["tokens"], request["min_time"]
    layer = make_layer(request["layer"], width, request["heads"])
    x = torch.randn(1, tokens, width, dtype=next(layer.parameters()).dtype)
    position = torch.arange(tokens)[None]
    if request["case"] == "forward":
        with torch.no_grad():
            return protocol.row(request, protocol.fastest(lambda: layer(x, position_ids=position), min_time), tokens)
    x.requires_grad_()
    seconds = protocol.fastest(lambda: layer(x, position_ids=position).sum().backward(), min_time)
    return protocol.row(request, seconds, tokens)


def decode(request):
    """16 tokens in turn: a mini-batch of the TTT layers."""
    width, heads, before = request["width"], request["heads"], request["before"]
    x = torch.randn(1, 1, width)
    if request["layer"] == "attention":
        layer = Attention(width, heads)
        keys, values = (torch.randn(1, heads, before + 1, width // heads) for _ in range(2))

        def step():
            layer.decode(x, keys, values)

    else:
        model = published.TTTForCausalLM(published_config(request["layer"], width, heads)).eval()
        layer, cache = model.model.layers[0].seq_modeling_block, published.TTTCache(model.model, 1)

        def step():
            layer(x, position_ids=torch.tensor([[cache.seqlen_offset]]), cache_params=cache)
            cache.seqlen_offset += 1

    def mini_batch():
        for _ in range(16):
            step()

    with torch.no_grad():
        return protocol.row(request, protocol.fastest(mini_batch, request["min_time"]) / 16, 1)


def make_model(layer, width, heads):
    sizes = dict(vocab_size=256, intermediate_size=width * 8 // 3 // 16 * 16, tie_word_embeddings=True, use_cache=False)
    if layer != "attention":
        return published.TTTForCausalLM(published_config(layer, width, heads, 4, **sizes))
    from transformers import LlamaConfig, LlamaForCausalLM

    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=width,
            num_hidden_layers=4,
            num_attention_heads=heads,
            max_position_embeddings=CONTEXT,
            attn_implementation="sdpa",
            **sizes
        )
    )


def training_step(request):
    model = make_model(request["layer"], request["width"], request["heads"])
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    ids = torch.randint(256, (request["batch"], CONTEXT + 1))

    def step():
        loss = functional.cross_entropy(model(ids[:, :-1]).logits.view(-1, 256), ids[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    answer = protocol.row(request, protocol.fastest(step, request["min_time"]), request["batch"] * CONTEXT)
    return {key: value for key, value in answer.items() if key != "width"}  # as our own row: the model is the case


CASES = {"forward": sequence, "forward_backward": sequence, "decode": decode, "lm_training_step": training_step}
protocol.serve(lambda request: [CASES[request["case"]](request)])
