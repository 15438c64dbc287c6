# SPDX-License-Identifier: MIT
"""The table: each layer against attention by context length, with the length from which on it is faster."""

from .cells import lines, number, plural
from .kernels import kernel_lines
from .rows import fastest, select

LAYERS = {"attention": "attention", "ttt-linear": "TTT-Linear", "ttt-mlp": "TTT-MLP"}
VARIANTS = {  # how the name of a layer may end, and what to say then; the first that fits counts
    "-bfloat16-products": ", bfloat16 products",
    "-all-bfloat16": ", all in bfloat16",
    "-bfloat16": ", bfloat16 weights",
}
CASES = {"forward": "forward", "forward_backward": "forward + backward", "decode": "decode of one token behind"}
PEERS = {"pytorch": "PyTorch", "jax": "JAX", "llama.cpp": "llama.cpp"}


def kind_and_variant(layer):
    """A layer without its storage and products, and what to say of those."""
    for ending, words in VARIANTS.items():
        if layer.endswith(ending):
            return layer.removesuffix(ending), words
    return layer, ""


def lengths_of(case):
    """The column that holds the context length of a case."""
    return "before" if case.startswith(("decode", "lm_decode")) else "tokens"


def crossover(layer, attention):
    """The length from which on `layer` is faster at every longer one measured, both {length: seconds}; between two
    lengths the difference is taken as linear. None if it is not faster at the longest one."""
    lengths = sorted(set(layer) & set(attention))
    if not lengths:
        return None
    slower = [i for i, length in enumerate(lengths) if layer[length] >= attention[length]]
    if not slower:
        return lengths[0]
    if slower[-1] == len(lengths) - 1:
        return None
    below, above = lengths[slower[-1]], lengths[slower[-1] + 1]
    behind, ahead = layer[below] - attention[below], attention[above] - layer[above]
    return below + (above - below) * behind / (behind + ahead)


def crossover_text(layer, attention):
    found, lengths = crossover(layer, attention), sorted(set(layer) & set(attention))
    if found is None:
        return "not up to " + number(lengths[-1]) if lengths else ""
    if found == lengths[0]:
        return "all of these"
    return "from " + number(float(f"{found:.2g}"))


def case_lines(rows, case, where):
    """The part of the table for one case at one width and number of threads; nothing if it was not measured."""
    column = lengths_of(case)
    times = {
        layer: {row[column]: row["us_per_token"] for row in select(rows, source="ttt", case=case, layer=layer, **where)}
        for layer in LAYERS
    }
    lengths = sorted({length for of_layer in times.values() for length in of_layer})
    if not lengths:
        return []
    attention = times["attention"]
    cells = [[CASES[case], *(LAYERS[layer] for layer in LAYERS)]]
    for length in lengths:
        cells.append(
            [number(length) + " tokens"]
            + [beside(times[layer].get(length), attention.get(length), layer) for layer in LAYERS]
        )
    cells.append(
        ["faster than attention", ""]
        + [crossover_text(times[layer], attention) for layer in LAYERS if layer != "attention"]
    )
    for counter, label in (("xfloor", "x floor"), ("xread", "x one read of the weights")):
        length = 2048 if 2048 in lengths else lengths[0]
        found = [fastest(rows, source="ttt", case=case, layer=layer, **{column: length}, **where) for layer in LAYERS]
        if any(row and counter in row for row in found):
            cells.append([f"{label}, {number(length)}"] + [f"{row[counter]:.2f}" if row else "" for row in found])
    return [""] + lines(cells)


def beside(time, attention, layer):
    if time is None:
        return ""
    return number(time) if layer == "attention" or not attention else f"{number(time)} ({time / attention:.2f})"


def layer_lines(rows):
    found = []
    for threads in (1, 2):
        for width in (256, 768, 2048):
            where = dict(width=width, threads=threads)
            parts = [line for case in CASES for line in case_lines(rows, case, where)]
            if parts:
                found += [
                    "",
                    f"One layer, width {width}, {plural(threads)}, float: us per token (beside attention)",
                ] + parts
    return found


def machine_lines(rows):
    found = []
    for threads in (1, 2):
        peaks = [row for row in rows if "peak_fma" in row and row["threads"] == threads]
        if peaks:
            best = {
                name: max(row["peak_" + name] for row in peaks) / 1e9 for name in ("ours", "eigen", "openblas", "fma")
            }
            blas = f"OpenBLAS {best['openblas']:.1f}" if best["openblas"] else "OpenBLAS not installed"
            found.append(
                f"large product on {plural(threads)}: ours {best['ours']:.1f}, Eigen (AVX2) {best['eigen']:.1f}, {blas} GFLOP/s; "
                f"FMA peak {best['fma']:.1f}"
            )
    return found


def stack_lines(rows):
    cells = [["one token in a stack larger than the cache", "us per layer", "MB read", "x one read of the weights"]]
    for row in sorted(select(rows, source="ttt", case="decode_stack"), key=lambda row: (row["threads"], row["width"])):
        kind, variant = kind_and_variant(row["layer"])
        cells.append(
            [
                f"{LAYERS[kind]}{variant}, width {row['width']}, {plural(row['threads'])}",
                number(row["us_per_token"]),
                number(row["bytes_per_token"] / 1e6),
                f"{row['xread']:.2f}",
            ]
        )
    return [""] + lines(cells, "") if len(cells) > 1 else []


MODELS = {
    "lm_prefill": "{tokens} tokens behind {before}, width {width}",
    "lm_decode": "one by one behind {before}, width {width}",
    "lm_training_step": "training, 4 blocks of width 128, batch {batch}",
    "lm_wide_training_step": "training, 2 blocks of width {width}, batch {batch}",
}


def model_lines(rows):
    cells = [["language model, tokens/s", *LAYERS.values()]]
    for case, name in MODELS.items():
        shapes = {}
        for row in select(rows, source="ttt", case=case):
            kind, variant = kind_and_variant(row["layer"])
            label = f"{name.format_map(row)}{variant}, {plural(row['threads'])}"
            shapes.setdefault(label, {}).setdefault(kind, row["tokens_per_second"])
        cells += [
            [label] + [number(rates[layer]) if layer in rates else "" for layer in LAYERS]
            for label, rates in shapes.items()
        ]
    return [""] + lines(cells, "") if len(cells) > 1 else []


def peer_lines(rows):
    """What others take for the same, beside each of our layers that takes its place: ours, and their time by ours."""
    cells = [["against", "theirs", *(f"our {name}" for name in LAYERS.values())]]
    for peer in (row for row in rows if row["source"] in PEERS):
        shape = {key: peer[key] for key in ("case", "width", "tokens", "before", "threads", "batch") if key in peer}
        kind, variant = kind_and_variant(peer["layer"])
        ending = peer["layer"].removeprefix(kind).replace("-all-bfloat16", "")  # ours is float there
        rivals = LAYERS if kind == "attention" else [kind]
        ours = {layer: fastest(rows, source="ttt", layer=layer + ending, **shape) for layer in rivals}
        label = f"{PEERS[peer['source']]} {LAYERS[kind]}{variant}, {shape_text(shape)}"
        cells.append([label, number(peer["us_per_token"])] + [against(peer, ours.get(layer)) for layer in LAYERS])
    title = "Others in the same minutes: us per token (their time / ours)"
    return ["", title] + lines(cells) if len(cells) > 1 else []


def against(peer, ours):
    return f"{number(ours['us_per_token'])} ({peer['us_per_token'] / ours['us_per_token']:.2f})" if ours else ""


def shape_text(shape):
    case = {
        "lm_prefill": "language model prefill",
        "lm_decode": "language model decode",
        "lm_training_step": "training step",
        "decode": "decode",
    }.get(shape["case"], CASES.get(shape["case"]))
    sizes = [f"width {shape['width']}"] if "width" in shape else []
    sizes += [f"{number(shape['tokens'])} tokens"] if "tokens" in shape else []
    sizes += [f"behind {number(shape['before'])}"] if "before" in shape else []
    return ", ".join([case, *sizes, plural(shape["threads"])])


def report(rows):
    parts = machine_lines(rows) + layer_lines(rows) + stack_lines(rows) + model_lines(rows) + kernel_lines(rows)
    parts += peer_lines(rows)
    return "\n".join(parts).strip("\n") + "\n"


def comparison(here, there):
    """Fastest times of two trees, by case."""
    cells = [["case", "reference, us per token", "this tree", "reference / this tree"]]
    for name in dict.fromkeys(row["name"] for row in there):
        before, now = fastest(there, name=name), fastest(here, name=name)
        if now:
            cells.append(
                [
                    name.removesuffix("/manual_time"),
                    number(before["us_per_token"]),
                    number(now["us_per_token"]),
                    f"{before['seconds'] / now['seconds']:.2f}",
                ]
            )
    return "\n".join(lines(cells, "")) + "\n"
