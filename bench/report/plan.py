# SPDX-License-Identifier: MIT
"""Which cases a run measures, in which order, and what is asked of the peers right behind each."""

import collections

LAYERS, MODELS = "layers_layers_bench", "models_causal_lm_bench"
PROGRAMS = {LAYERS, MODELS}
STACKS = {256: 128, 768: 14, 2048: 2}  # layers that no cache holds
HEADS = {256: 4, 768: 12, 2048: 32}
KINDS = ["attention", "ttt-linear", "ttt-mlp"]
ANY_SIZE = [kind + "-any-size" for kind in KINDS[1:]]  # sizes known at run time only
NARROW = [kind + "-bfloat16" for kind in KINDS]  # weights in bfloat16
CONTEXTS = [512, 1024, 2048, 8192, 32768]

Step = collections.namedtuple("Step", "name program filter min_time requests", defaults=[()])


def _any_of(values):
    return "(" + "|".join(map(str, values)) + ")"


def _layers(cases, width, lengths, threads, kinds=KINDS, requests=()):
    name = f"{' and '.join(cases)}, width {width}, {'/'.join(map(str, lengths))} tokens, threads {threads}"
    pattern = f"^{_any_of(cases)}/{_any_of(kinds)}/C:{width}/T:{_any_of(lengths)}/threads:{threads}/"
    return Step(name, LAYERS, pattern, 0.3, tuple(requests))


def _decode(width, contexts, threads, requests=()):
    pattern = f"^decode/{_any_of(KINDS)}/C:{width}/before:{_any_of(contexts)}/threads:{threads}/"
    return Step(f"decode, width {width}, threads {threads}", LAYERS, pattern, 0.2, tuple(requests))


def _decode_stack(width):
    pattern = f"^decode_stack/{_any_of(KINDS + NARROW)}/C:{width}/layers:{STACKS[width]}/threads:1/"
    return Step(f"decode in {STACKS[width]} layers, width {width}, threads 1", LAYERS, pattern, 0.2)


def _ask(peer, case, layer, width, threads, **sizes):
    return dict(peer=peer, case=case, layer=layer, width=width, heads=HEADS.get(width, 4), threads=threads, **sizes)


def _layer_requests(width, tokens, threads):
    """Attention at every length; the TTT layers, whose cost per token does not depend on it, and attention in bfloat16
    at 2048."""
    for case in ("forward", "forward_backward"):
        yield _ask("pytorch", case, "attention", width, threads, tokens=tokens)
        if tokens == 2048:
            yield _ask("pytorch", case, "attention-all-bfloat16", width, threads, tokens=tokens)
            for layer in KINDS[1:]:
                yield _ask("pytorch", case, layer, width, threads, tokens=tokens)
                yield _ask("jax", case, layer, width, threads, tokens=tokens)


def _decode_requests(width, threads):
    for before in (1024, 8192, 32768):
        yield _ask("pytorch", "decode", "attention", width, threads, before=before)
    for layer in KINDS[1:]:
        yield _ask("pytorch", "decode", layer, width, threads, before=1024)


def _layer_steps(peers):
    both = ["forward", "forward_backward"]
    for width in (768, 256):
        for tokens in (512, 2048, 8192):
            kinds = KINDS + ANY_SIZE if (width, tokens) == (768, 2048) else KINDS
            yield _layers(both, width, [tokens], 1, kinds, _layer_requests(width, tokens, 1) if peers else ())
        yield _layers(["forward"], width, [32768], 1)
        yield _decode(width, CONTEXTS, 1, _decode_requests(width, 1) if peers else ())
        yield _decode_stack(width)
    yield _layers(both, 2048, [512, 2048], 1)
    yield _layers(["forward"], 2048, [8192], 1)
    yield _decode(2048, [1024, 8192], 1)
    yield _decode_stack(2048)
    for width in (768, 256):
        yield _layers(both, width, [2048], 2, requests=_layer_requests(width, 2048, 2) if peers else ())
    yield _layers(both, 2048, [2048], 2)
    yield _decode(768, [1024, 32768], 2)


def _model_steps(peers):
    threads, requests = 2, []
    if peers:
        requests = [dict(peer="llama.cpp", case="lm", threads=threads)]
    yield Step(
        "language model of 125 million parameters, threads 2",
        MODELS,
        f"^(lm_(prefill|decode)/{_any_of(KINDS)}|lm_decode/{_any_of(NARROW)})/C:768/.*threads:{threads}/",
        0.3,
        tuple(requests),
    )
    if peers:
        requests = [_ask("pytorch", "lm_training_step", layer, 128, threads, batch=16) for layer in KINDS]
    yield Step(
        "training step, 4 blocks of width 128, threads 2",
        MODELS,
        f"^lm_training_step/.*/batch:16/threads:{threads}/",
        1,
        tuple(requests),
    )
    yield Step(
        "training step, 2 blocks of width 768, products in float and bfloat16, threads 1",
        MODELS,
        "^lm_wide_training_step/.*/C:768/batch:8/threads:1/",
        1,
    )


def _quick(peers):
    requests = (
        list(_layer_requests(256, 512, 1)) + [_ask("jax", "forward", "ttt-linear", 256, 1, tokens=512)] if peers else ()
    )
    yield _layers(["forward", "forward_backward"], 256, [512, 2048], 1, requests=requests)._replace(min_time=0.05)
    yield Step("decode, width 256", LAYERS, f"^decode/{_any_of(KINDS)}/C:256/before:(512|8192)/threads:1/", 0.05)
    yield Step(
        "small language model",
        MODELS,
        "^(lm_(prefill|decode|wide_training_step)/.*/C:64/|lm_training_step/.*/batch:1/threads:1/)",
        0.05,
    )


def steps(others, quick=False, peers=False):
    """A run; `others` are programs whose every case is measured (in a quick run only looked at)."""
    if quick:
        return list(_quick(peers))
    whole = [Step(program.removesuffix("_bench").replace("_", " "), program, ".", 0.1) for program in others]
    return list(_layer_steps(peers)) + list(_model_steps(peers)) + whole


def compared(quick=False):
    """What two revisions are compared by."""
    if quick:
        return list(_quick(False))
    both, lengths = ["forward", "forward_backward"], [512, 2048]
    return [_layers(both, width, lengths, 1) for width in (256, 768)] + [
        _layers(["forward"], 768, [8192], 1),
        _layers(both, 768, [2048], 2),
        _decode(768, [1024, 8192], 1),
        Step("training step", MODELS, "^lm_training_step/.*/batch:16/threads:2/", 1),
        _decode_stack(768),
        Step("language model, prefill", MODELS, f"^lm_prefill/{_any_of(KINDS)}/C:768/T:512/before:0/threads:2/", 0.3),
        Step("language model, decode", MODELS, f"^lm_decode/{_any_of(KINDS + NARROW)}/C:768/before:0/threads:2/", 0.3),
    ]
