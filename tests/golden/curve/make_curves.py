#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Train four tiny byte-level models with the published PyTorch TTT code and store their loss curves.

The models are TTTForCausalLM of github.com/test-time-training/ttt-lm-pytorch, TTT-Linear and TTT-MLP, each with the
transformer and the mamba backbone. README.md beside this file says what is written and how a run is to be repeated.

  make_curves.py --ttt-lm-pytorch DIR --data FILE --out DIR [--seed N]
  make_curves.py --ttt-lm-pytorch DIR --out DIR --check          repeat the stored runs, compare, write nothing
"""
import argparse
import contextlib
import copy
import hashlib
import importlib.util
import json
import math
import os
import sys
import warnings

os.environ.setdefault("OMP_NUM_THREADS", "1")
warnings.filterwarnings("ignore")

import numpy  # noqa: E402
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.numpy import load_file  # noqa: E402
from torch.overrides import TorchFunctionMode  # noqa: E402

# Head width 16, mini-batch 8, heads 3, length 44 and batch 4 all differ; 44 leaves a partial mini-batch of 4.
SHAPE = dict(vocab_size=256, hidden_size=48, intermediate_size=80, num_hidden_layers=2, num_attention_heads=3,
             mini_batch_size=8, tie_word_embeddings=True, use_cache=False, scan_checkpoint_group_size=0,
             max_position_embeddings=256)
BASE_LEARNING_RATE = {"linear": 1.0, "mlp": 0.1}
CONTEXT, BATCH, STEPS = 44, 4, 200
FLOOR, WARMUP = 0.1, 20
BETAS, EPSILON, DECAY, CLIP = (0.9, 0.95), 1e-8, 0.1, 1.0
# Peak learning rate of each variant. TTT-Linear with the transformer backbone is chaotic at 3e-3: a relative change of
# 1e-6 of the weights grows to 0.03 to 0.8 nats within 200 steps, more than a comparison can forgive; at 1e-3 it stays
# below 2e-4.
VARIANTS = {("linear", "transformer"): 1e-3, ("linear", "mamba"): 3e-3,
            ("mlp", "transformer"): 3e-3, ("mlp", "mamba"): 3e-3}


def learning_rate(peak, step):
    """Rate of update number `step` (from 0): linear from 0, then a cosine that reaches FLOOR * peak at step STEPS."""
    if step < WARMUP:
        return peak * step / WARMUP
    cosine = 0.5 * (1.0 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))
    return peak * (FLOOR + (1.0 - FLOOR) * cosine)


def decays(name):
    return name.endswith("_proj.weight") or name == "model.embed_tokens.weight"


class DoubleForSingle(TorchFunctionMode):
    """A request for float32 inside this mode gives float64: the published code casts to float32 in several places."""

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is torch.Tensor.float:
            function = torch.Tensor.double

        def swap(value):
            return torch.float64 if value is torch.float32 else value
        options = {key: swap(value) for key, value in (options or {}).items()}
        return function(*[swap(value) for value in arguments], **options)


def to_double(model):
    """A float64 copy of a model; constants are computed anew, as .double() would keep them rounded to float32."""
    model = copy.deepcopy(model).double()
    for module in model.modules():
        if hasattr(module, "token_idx"):
            module.token_idx = 1.0 / torch.arange(1, module.mini_batch_size + 1, dtype=torch.float64)
        if hasattr(module, "inv_freq"):
            module.inv_freq = 1.0 / (module.base ** (torch.arange(0, module.dim, 2, dtype=torch.float64) / module.dim))
    return model


def train(model, windows, peak):
    """Train in place; return loss before each update and gradient norm before clipping, both [STEPS]."""
    named = list(model.named_parameters())
    optimizer = torch.optim.AdamW([
        dict(params=[parameter for name, parameter in named if decays(name)], weight_decay=DECAY),
        dict(params=[parameter for name, parameter in named if not decays(name)], weight_decay=0.0),
    ], lr=peak, betas=BETAS, eps=EPSILON, foreach=False)
    model.train()
    losses, norms = [], []
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(peak, step)
        logits = model(windows[step, :, :-1]).logits.reshape(-1, SHAPE["vocab_size"])
        loss = torch.nn.functional.cross_entropy(logits, windows[step, :, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_([parameter for _, parameter in named], CLIP, foreach=False)
        norms.append(norm.item())
        optimizer.step()
        losses.append(loss.item())
    return numpy.array(losses), numpy.array(norms)


def run(model, windows, peak, double):
    if not double:
        return train(copy.deepcopy(model), windows, peak)
    old = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    with contextlib.ExitStack() as stack:
        stack.callback(torch.set_default_dtype, old)
        model = to_double(model)
        stack.enter_context(DoubleForSingle())
        return train(model, windows, peak)


def sample_windows(path, generator):
    """Windows [STEPS x BATCH x CONTEXT + 1] of bytes, starts drawn uniformly over the file."""
    data = torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.uint8).long()
    if len(data) <= CONTEXT:
        sys.exit(f"{path}: {len(data)} bytes, at least {CONTEXT + 1} are needed")
    starts = torch.randint(len(data) - CONTEXT, (STEPS, BATCH, 1), generator=generator)
    return data[starts + torch.arange(CONTEXT + 1)]


def build(published, layer, backbone, seed):
    mamba = backbone == "mamba"
    torch.manual_seed(seed)
    config = published.TTTConfig(ttt_layer_type=layer, ttt_base_lr=BASE_LEARNING_RATE[layer], use_gate=mamba,
                                 share_qk=mamba, pre_conv=mamba, **SHAPE)
    return published.TTTForCausalLM(config)


def weights_of(model):
    return {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}


def config_text(model):
    """What the published code writes, plus every constructor argument."""
    config = dict(model.config.to_diff_dict(), architectures=["TTTForCausalLM"], torch_dtype="float32")
    for key in ("vocab_size", "max_position_embeddings", "hidden_size", "intermediate_size", "num_hidden_layers",
                "num_attention_heads", "hidden_act", "initializer_range", "rms_norm_eps", "pretraining_tp", "use_cache",
                "rope_theta", "use_gate", "share_qk", "ttt_layer_type", "ttt_base_lr", "mini_batch_size", "pre_conv",
                "conv_kernel", "scan_checkpoint_group_size", "pad_token_id", "bos_token_id", "eos_token_id",
                "tie_word_embeddings"):
        config[key] = getattr(model.config, key)
    return json.dumps(config, indent=2, sort_keys=True) + "\n"


def save(path, tensors, metadata):
    """The safetensors library writes metadata in random order; this writes the same bytes every time."""
    kinds = {"float32": "F32", "float64": "F64", "int64": "I64"}
    header, offset = {"__metadata__": metadata}, 0
    ordered = sorted(tensors, key=lambda name: (-tensors[name].itemsize, name))
    for name in ordered:
        tensor = tensors[name]
        end = offset + tensor.nbytes
        header[name] = dict(dtype=kinds[tensor.dtype.name], shape=list(tensor.shape), data_offsets=[offset, end])
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text + b"".join(tensors[name].tobytes() for name in ordered))


def metadata_of(arguments, source_hash, data_hash):
    optimizer = dict(name="AdamW", betas=BETAS, epsilon=EPSILON, weight_decay=DECAY, clip=CLIP, floor=FLOOR,
                     warmup_steps=WARMUP, steps=STEPS)
    data = os.path.basename(arguments.data)
    return {
        "reference": f"test-time-training/ttt-lm-pytorch ttt.py sha256:{source_hash} TTTForCausalLM",
        "versions": f"torch {torch.__version__}, transformers {transformers.__version__}, "
                    f"numpy {numpy.__version__}, 1 thread",
        "command": f"make_curves.py --ttt-lm-pytorch DIR --data {data} --out DIR --seed {arguments.seed}",
        "data": f"{data} sha256:{data_hash}",
        "optimizer": json.dumps(optimizer),
        "notes": "loss[s] is the mean cross-entropy in nats over all B x T targets of batch s, before update s; "
                 "grad_norm[s] the global norm before clipping; lr[s] the rate of update s. *_f64: the same run in "
                 "float64 from the same float32 weights.",
    }


def report(name, loss, loss_double):
    marks = ", ".join(f"{loss[step]:.6f}" for step in (0, 49, 99, 199))
    difference = numpy.abs(loss - loss_double)
    print(f"{name}: loss at steps 1, 50, 100, 200: {marks}; |float32 - float64| at most {difference.max():.2e} "
          f"(step {difference.argmax() + 1})", flush=True)


def generate(published, arguments, source_hash):
    data_hash = hashlib.sha256(open(arguments.data, "rb").read()).hexdigest()
    metadata = metadata_of(arguments, source_hash, data_hash)
    windows = sample_windows(arguments.data, torch.Generator().manual_seed(arguments.seed))
    os.makedirs(arguments.out, exist_ok=True)
    save(os.path.join(arguments.out, "batches.safetensors"), {"windows": windows.numpy()},
         dict(metadata, notes="windows [steps x batch x T + 1]: input_ids = windows[s, :, :T], "
                              "targets = windows[s, :, 1:]"))
    for number, ((layer, backbone), peak) in enumerate(VARIANTS.items()):
        name = f"ttt_{layer}_{backbone}"
        model = build(published, layer, backbone, arguments.seed + 1 + number)
        loss, norm = run(model, windows, peak, double=False)
        loss_double, norm_double = run(model, windows, peak, double=True)
        folder = os.path.join(arguments.out, name)
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(folder, "config.json"), "w") as file:
            file.write(config_text(model))
        save(os.path.join(folder, "model.safetensors"), weights_of(model),
             dict(metadata, format="pt", notes="weights before the first update; the tied lm_head is not stored"))
        decayed = [parameter for parameter, _ in model.named_parameters() if decays(parameter)]
        rates = numpy.array([learning_rate(peak, step) for step in range(STEPS)])
        save(os.path.join(folder, "curve.safetensors"),
             dict(lr=rates, loss=loss, grad_norm=norm, loss_f64=loss_double, grad_norm_f64=norm_double),
             dict(metadata, peak=str(peak), decayed=json.dumps(decayed)))
        report(name, loss, loss_double)


def check(published, arguments):
    """Repeat the stored runs from the stored weights and batches; True if all are within 1e-3 nats (float64: 1e-6)."""
    windows = torch.from_numpy(load_file(os.path.join(arguments.out, "batches.safetensors"))["windows"])
    good = True
    for (layer, backbone), peak in VARIANTS.items():
        name = f"ttt_{layer}_{backbone}"
        folder = os.path.join(arguments.out, name)
        model = build(published, layer, backbone, 0)
        stored = load_file(os.path.join(folder, "model.safetensors"))
        result = model.load_state_dict({key: torch.from_numpy(value) for key, value in stored.items()}, strict=False)
        if result.unexpected_keys or result.missing_keys != ["lm_head.weight"]:
            sys.exit(f"{folder}: {result}")
        curve = load_file(os.path.join(folder, "curve.safetensors"))
        single = numpy.abs(run(model, windows, peak, double=False)[0] - curve["loss"]).max()
        double = numpy.abs(run(model, windows, peak, double=True)[0] - curve["loss_f64"]).max()
        print(f"{name}: repeated run differs by {single:.2e} in float32, {double:.2e} in float64", flush=True)
        good = good and single <= 1e-3 and double <= 1e-6
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ttt-lm-pytorch", required=True, metavar="DIR", help="checkout of the published code")
    parser.add_argument("--data", metavar="FILE", help="text from which the batches are drawn")
    parser.add_argument("--out", required=True, metavar="DIR")
    parser.add_argument("--seed", type=int, default=20240705)
    parser.add_argument("--check", action="store_true", help="repeat the stored runs and compare")
    arguments = parser.parse_args()
    if not arguments.check and not arguments.data:
        parser.error("--data is needed")
    path = os.path.join(arguments.ttt_lm_pytorch, "ttt.py")
    specification = importlib.util.spec_from_file_location("published_ttt", path)
    published = importlib.util.module_from_spec(specification)
    sys.modules["published_ttt"] = published
    specification.loader.exec_module(published)
    torch.set_num_threads(1)
    if arguments.check:
        sys.exit(0 if check(published, arguments) else 1)
    generate(published, arguments, hashlib.sha256(open(path, "rb").read()).hexdigest()[:16])


if __name__ == "__main__":
    main()
