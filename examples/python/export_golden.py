#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes what a model folder gives in the framework it comes from, so that `ttt-lm verify` can say whether it was read
right:

    python3 export_golden.py FOLDER golden.safetensors                      Llama, Mistral: transformers
    python3 export_golden.py FOLDER golden.safetensors --ttt PATH/ttt.py    the published PyTorch TTT class
    ttt-lm verify FOLDER golden.safetensors

The file has input_ids [B x T], int64, logits [B x T x V] and loss [1], float32. Needs torch, transformers, safetensors.
"""
import argparse
import importlib.util
import json
import pathlib

import torch
import transformers
from safetensors.torch import save_file


def model_class(folder, ttt):
    model_type = json.loads((folder / "config.json").read_text())["model_type"]
    if model_type != "ttt":
        return transformers.AutoModelForCausalLM
    if ttt is None:
        raise SystemExit(f"{folder} is a TTT model: --ttt PATH names ttt.py of the published PyTorch code")
    spec = importlib.util.spec_from_file_location("ttt", ttt)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TTTForCausalLM


def token_ids(text, folder, rows, tokens, vocabulary, seed):
    if text is not None:
        tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
        return tokenizer(text, return_tensors="pt").input_ids
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(vocabulary, (rows, tokens), generator=generator)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--ttt", type=pathlib.Path, help="ttt.py of the published PyTorch code, for TTT models")
    parser.add_argument("--text", help="a text for the tokenizer of the folder, instead of random ids")
    parser.add_argument("--rows", type=int, default=2)
    # No multiple of a mini-batch, and longer than most windows of small models.
    parser.add_argument("--tokens", type=int, default=77)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    kind = model_class(options.folder, options.ttt)
    # Attention written out, as other forms of it sum in another order; float32, as it is what is compared.
    extra = {} if options.ttt else {"attn_implementation": "eager"}
    model = kind.from_pretrained(options.folder, torch_dtype=torch.float32, **extra).eval()
    ids = token_ids(options.text, options.folder, options.rows, options.tokens, model.config.vocab_size, options.seed)
    with torch.no_grad():
        result = model(input_ids=ids, labels=ids, use_cache=False)
    tensors = {"input_ids": ids, "logits": result.logits.float().contiguous(), "loss": result.loss.float().reshape(1)}
    save_file(tensors, options.out, metadata={"format": "pt", "torch": torch.__version__})
    shapes = f"input_ids {list(ids.shape)}, logits {list(result.logits.shape)}"
    print(f"{options.out}: {shapes}, loss {result.loss.item():.6f}")


if __name__ == "__main__":
    main()
