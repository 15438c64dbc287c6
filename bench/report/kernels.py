# SPDX-License-Identifier: MIT
"""The part of the table below the layers: products beside the best library and one read of their weights, forms and
sizes of the rules beside each other."""

from .cells import lines, number, plural
from .rows import fastest, labels_of, select

PRODUCTS = {
    "forward": "product",
    "backward_of_input": "gradient of the input",
    "backward_of_weight": "gradient of the weight",
    "eigen": "Eigen (AVX2)",
}
WEIGHTS = {"product<PanelView<const float>>": "float", "product<Bfloat16PanelView>": "bfloat16"}
FORMS = {  # the first of each program is what the others stand beside
    "rules_ttt_linear_bench": {
        "sequence<rules::TttLinear<float, 64, 16>>": "TTT-Linear, dual form",
        "sequence/primal, fused": "TTT-Linear, best primal form",
        "sequence/primal, spelled out": "TTT-Linear, primal form as in the paper",
        "sequence<rules::TttLinear<float>>": "TTT-Linear, dual form, any size",
    },
    "rules_ttt_mlp_bench": {
        "sequence<rules::TttMlp<float, 64, 16>>": "TTT-MLP, dual form",
        "sequence<rules::TttMlp<float>>": "TTT-MLP, dual form, any size",
    },
}
NAMES = {  # what these lines want of each program
    "kernels_matmul_bench": [*PRODUCTS, "few_rows"],
    "kernels_matmul_bfloat16_bench": [*WEIGHTS],
    "rules_attention_bench": ["sequence", "decode"],
    **{program: [*forms] for program, forms in FORMS.items()},
}
DIRECTIONS = ["forward", "forward + backward"]


def values_of(rows, column):
    return sorted({row[column] for row in rows})


def gigaflops(row, counter=None):
    """A rate, and a counter in brackets."""
    if row is None:
        return ""
    return number(row["FLOP/s"] / 1e9) + (f" ({row[counter]:.2f})" if counter else "")


def beside(row, other):
    """A time per token, and in brackets its share of another row's."""
    if row is None:
        return ""
    own = number(row["us_per_token"])
    return own if other is None or other is row else f"{own} ({row['us_per_token'] / other['us_per_token']:.2f})"


def part(title, columns, body):
    """A table of its own, nothing where nothing was measured."""
    return [""] + lines([[title, *columns], *body]) if body else []


def product_lines(rows):
    large = [row for row in rows if "of_best_library" in row]
    few = select(rows, program="kernels_matmul_bench", case="few_rows")
    widths = values_of(large + few, "width")
    columns = [f"width {width}" for width in widths]
    of_large = [
        [name] + [gigaflops(fastest(large, case=case, width=width), "of_best_library") for width in widths]
        for case, name in PRODUCTS.items()
        if select(large, case=case)
    ]
    of_few = [
        [plural(count, "row")] + [gigaflops(fastest(few, rows=count, width=width), "xread") for width in widths]
        for count in values_of(few, "rows")
    ]
    return part("2,048 rows: GFLOP/s (of the best library's)", columns, of_large) + part(
        "few rows: GFLOP/s (x one read of the weights)", columns, of_few
    )


def bfloat16_lines(rows):
    measured = select(rows, program="kernels_matmul_bfloat16_bench")
    counts = values_of(measured, "rows")
    body = [
        ["weights in " + weights] + [gigaflops(fastest(measured, case=case, rows=count)) for count in counts]
        for case, weights in WEIGHTS.items()
        if select(measured, case=case)
    ]
    return part("768 x 2048, few rows from memory: GFLOP/s", [plural(count, "row") for count in counts], body)


def form_lines(rows):
    body = []
    for program, forms in FORMS.items():
        measured = select(rows, program=program)
        named = {form: [row for row in measured if "/".join(labels_of(row["name"])) == form] for form in forms}
        dual = named[next(iter(forms))]
        for form, name in forms.items():
            for width in reversed(values_of(named[form], "D")):
                sizes = [dict(D=width, backward=backward) for backward in (0, 1)]
                times = [beside(fastest(named[form], **size), fastest(dual, **size)) for size in sizes]
                body.append([f"{name}, D = {width}", *times])
    return part("one head, backward of the dual form in all: us per token (beside the dual form)", DIRECTIONS, body)


def any_size_lines(rows):
    body = []
    for layer, name in (("ttt-linear", "TTT-Linear"), ("ttt-mlp", "TTT-MLP")):
        for row in select(rows, source="ttt", case="forward", layer=layer + "-any-size"):
            shape = {key: row[key] for key in ("width", "tokens", "threads")}
            pairs = [
                [fastest(rows, source="ttt", case=case, layer=kind, **shape) for kind in (row["layer"], layer)]
                for case in ("forward", "forward_backward")
            ]
            body.append([f"{name}, width {row['width']}, {number(row['tokens'])} tokens"] + [beside(*p) for p in pairs])
    return part("one layer, any size: us per token (beside the fixed size)", DIRECTIONS, body)


def attention_lines(rows):
    measured = select(rows, program="rules_attention_bench", case="sequence")
    lengths = values_of(measured, "tokens")
    body = []
    for backward, direction in enumerate(DIRECTIONS):
        for window, sinks in sorted({(row["window"], row["sinks"]) for row in select(measured, backward=backward)}):
            seen = {"window": window, "sinks": sinks, "backward": backward}
            label = (f"window {window}" if window else "all before") + (f" and {sinks} sinks" if sinks else "")
            body.append(
                [f"{label}, {direction}"]
                + [beside(fastest(measured, tokens=length, **seen), None) for length in lengths]
            )
    decoded = sorted(select(rows, program="rules_attention_bench", case="decode"), key=lambda row: row["before"])
    rates = [["cache of 12 heads: GB/s"] + [number(row["bytes/s"] / 1e9) for row in decoded]] if decoded else []
    return part("attention, one head: us per token", [number(length) + " tokens" for length in lengths], body) + part(
        "attention, one token behind", [number(row["before"]) for row in decoded], rates
    )


def kernel_lines(rows):
    parts = (product_lines, bfloat16_lines, form_lines, any_size_lines, attention_lines)
    found = [line for part_of in parts for line in part_of(rows)]
    return ["", "Kernels and rules, 1 thread"] + found if found else []
