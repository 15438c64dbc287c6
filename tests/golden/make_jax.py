#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes jax/: tiny checkpoints of the published JAX TTT code, written by its own checkpointer, and the logits it gives.

Usage: make_jax.py --ttt-lm-jax DIR --out DIR      (jax, flax, ml_collections, msgpack, safetensors)
"""
import argparse
import contextlib
import importlib
import pathlib
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

jax.config.update("jax_default_matmul_precision", "highest")


def published(source):
    """Its modules; what they need of other packages and of many devices is replaced."""

    def module(name, **members):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__dict__.update(members)
        return sys.modules[name]

    for name in ("ttt", "ttt.infra", "ttt.models"):
        module(name).__path__ = [str(source / name.replace(".", "/"))]
    dtypes = {"fp32": jnp.float32, "bf16": jnp.bfloat16}
    module(
        "ttt.infra.jax_utils",
        with_sharding_constraint=lambda x, *_: x,
        get_jax_mesh=None,
        get_gradient_checkpoint_policy=lambda *_: None,
        tree_apply=None,
        float_tensor_to_dtype=lambda x, dtype: np.asarray(x).astype(dtypes[dtype]) if x.dtype == "float32" else x,
    )
    module("mlxu", open_file=open, load_pickle=None, save_pickle=None, function_args_to_config=None)
    clip = jnp.clip  # has other keywords by now
    jnp.clip = lambda x, a_min=None, a_max=None: clip(x, a_min, a_max)
    return importlib.import_module("ttt.models.model"), importlib.import_module("ttt.infra.checkpoint")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ttt-lm-jax", type=pathlib.Path, required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    options = parser.parse_args()
    model, checkpoint = published(options.ttt_lm_jax)
    # Names as in its configurations: with "base" the transformer backbone. The type is that of the stored weights.
    cases = [
        ("ttt_linear_bf16", "ttt_linear", True, 1.0, "bf16", True),
        ("ttt_mlp_fp32", "ttt_mlp_base", False, 0.1, "fp32", False),
    ]
    for name, layer, mamba, base, dtype, tied in cases:
        config = model.ModelConfig(
            vocab_size=48, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=2,
            max_sequence_length=32, seq_modeling_block=layer, pre_conv=mamba, conv_width=4, mini_batch_size=16,
            ttt_base_lr=base, remat_mini_batch_group_size=1, rope_theta=10000.0, tie_word_embeddings=tied,
            output_ttt_stats=False,
        )  # fmt: skip
        network = model.CausalLM(config)
        keys = iter(jax.random.split(jax.random.PRNGKey(len(name)), 100))
        ids = jax.random.randint(next(keys), (2, 32), 0, config.vocab_size)
        # Everything away from its initial value, so that nothing can be swapped or left out unseen.
        flat = flatten_dict(network.init(next(keys), ids)["params"])
        flat = {key: value + 0.1 * jax.random.normal(next(keys), value.shape) for key, value in flat.items()}
        folder = options.out / name
        folder.mkdir(parents=True, exist_ok=True)
        save = checkpoint.StreamingCheckpointer.save_train_state_to_file
        state = unflatten_dict(flat)
        if dtype == "bf16":
            save(state, folder / "streaming_params.bin", None, dtype)
            flat = {key: value.astype(jnp.bfloat16).astype(jnp.float32) for key, value in flat.items()}
        else:
            save({"step": np.int32(7), "params": {"params": state}, "opt_state": {"0": {"mu": np.ones(3, np.float32)}}},
                 folder / "streaming_train_state.bin", None, dtype)  # fmt: skip
        logits = network.apply({"params": unflatten_dict(flat)}, ids).logits
        metadata = {"reference": "ttt-lm-jax", "jax": jax.__version__, "config": f"{layer}, ttt_base_lr {base}"}
        tensors = {"input_ids": np.asarray(ids, np.int64), "logits": np.asarray(logits)}
        save_file(tensors, folder / "golden.safetensors", metadata=metadata)
        print(name, {"/".join(key): value.shape for key, value in flat.items()})


if __name__ == "__main__":
    main()
