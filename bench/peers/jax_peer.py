# SPDX-License-Identifier: MIT
"""The published JAX TTT layers, compiled by jit: forward, and forward + backward."""

import argparse
import importlib.util
import pathlib
import sys
import types

import protocol

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--source", type=pathlib.Path, required=True)
parser.add_argument("--threads", type=int, required=True)
options = parser.parse_args()
protocol.pin(options.threads)  # before JAX counts the processors

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402


def load_published(source):
    """The layers' module alone: the packages around it want data loaders, and sharding helpers that one CPU needs not."""

    def package(name, path):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(path)]

    package("ttt", source / "ttt")
    package("ttt.infra", source / "ttt/infra")
    package("ttt.models", source / "ttt/models")
    sharding = sys.modules["ttt.infra.jax_utils"] = types.ModuleType("ttt.infra.jax_utils")
    sharding.with_sharding_constraint = lambda x, *_: x
    sharding.get_gradient_checkpoint_policy = lambda *_: None
    new_clip = jnp.clip  # has other keywords by now
    jnp.clip = lambda x, a_min=None, a_max=None: new_clip(x, a_min, a_max)
    spec = importlib.util.spec_from_file_location("ttt.models.ttt_layer", source / "ttt/models/ttt_layer.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


published = load_published(options.source)


def sequence(request):
    width, tokens = request["width"], request["tokens"]
    kind = {"ttt-linear": published.TTTLinearBase, "ttt-mlp": published.TTTMLPBase}[request["layer"]]
    layer = kind(
        config=types.SimpleNamespace(
            hidden_size=width,
            num_attention_heads=request["heads"],
            mini_batch_size=16,
            max_sequence_length=tokens,
            rope_theta=10000.0,
            initializer_range=0.02,
            ttt_base_lr=1.0,
            remat_mini_batch_group_size=4,
            output_ttt_stats=False,
        )
    )
    x, position = jax.random.normal(jax.random.PRNGKey(0), (1, tokens, width)), jnp.arange(tokens)[None]
    weights = layer.init(jax.random.PRNGKey(1), x, position_ids=position)

    def forward(weights, x):
        return layer.apply(weights, x, position_ids=position)[0]

    if request["case"] == "forward":
        function = forward
    else:
        function = jax.grad(lambda weights, x: forward(weights, x).sum(), argnums=(0, 1))
    compiled = jax.jit(function).lower(weights, x).compile()  # apart from the calls: it takes longer than they do
    seconds = protocol.fastest(lambda: jax.block_until_ready(compiled(weights, x)), request["min_time"])
    return protocol.row(request, seconds, tokens)


protocol.serve(lambda request: [sequence(request)])
