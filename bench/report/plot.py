# SPDX-License-Identifier: MIT
"""Time per token against context length as SVG: logarithmic axes, a label at the end of each line, no legend."""

import math
from html import escape

from .rows import select

# Apart for colour-blind eyes (Okabe and Ito) and, by dash and marker, in grey print.
STYLES = {
    "attention": ("attention", "#000000", "", "circle"),
    "ttt-linear": ("TTT-Linear", "#0072b2", "", "square"),
    "ttt-mlp": ("TTT-MLP", "#d55e00", "7 3", "triangle"),
    "pytorch attention": ("attention, PyTorch", "#767676", "2 3", "circle"),
}
PANEL, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 470, 330, 58, 134, 44, 46
LABEL_GAP = 14


def ticks(low, high):
    """1, 2, 5 in every decade of [low, high], or the decades alone when those would be many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if math.log10(high / low) < 2.2 else (1,)
    return [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]


def length_text(length):
    return f"{length // 1024}k" if length >= 1024 and length % 1024 == 0 else str(length)


def time_text(value):
    return f"{value:,.0f}" if value >= 1 else f"{value:g}"


def spread(positions, gap):
    """The same positions in the same order, moved apart so that neighbours are `gap` away from each other."""
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    placed = list(positions)
    for _ in range(50):
        for low, high in zip(order, order[1:]):
            short = gap - (placed[high] - placed[low])
            if short > 1e-6:
                placed[low] -= short / 2
                placed[high] += short / 2
    return placed


def marker(kind, x, y, colour):
    if kind == "square":
        return f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="6" height="6" fill="{colour}"/>'
    if kind == "triangle":
        return f'<path d="M{x:.1f} {y - 4:.1f} L{x + 4:.1f} {y + 3:.1f} L{x - 4:.1f} {y + 3:.1f} Z" fill="{colour}"/>'
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.2" fill="{colour}"/>'


def text(x, y, content, anchor="middle", more=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>{escape(content)}</text>'


def panel(title, y_label, x_label, series, offset):
    """One chart; `series` is {style: {length: value}}."""
    lengths = sorted({length for points in series.values() for length in points})
    values = [value for points in series.values() for value in points.values()]
    low, high = min(values) / 1.25, max(values) * 1.25
    right, bottom = offset + PANEL - RIGHT, HEIGHT - BOTTOM

    def x_of(length):
        share = math.log(length / lengths[0]) / math.log(lengths[-1] / lengths[0]) if lengths[-1] > lengths[0] else 0.5
        return offset + LEFT + share * (right - offset - LEFT)

    def y_of(value):
        return bottom - math.log(value / low) / math.log(high / low) * (bottom - TOP)

    parts = [
        text(offset + LEFT, 22, title, "start", ' font-weight="bold"'),
        text(offset + LEFT, 37, y_label, "start", ' fill="#555"'),
        text((offset + LEFT + right) / 2, HEIGHT - 8, x_label),
    ]
    for value in ticks(low, high):
        parts.append(f'<path d="M{offset + LEFT} {y_of(value):.1f} H{right}" stroke="#ddd"/>')
        parts.append(text(offset + LEFT - 7, y_of(value) + 4, time_text(value), "end"))
    parts.append(f'<path d="M{offset + LEFT} {bottom} H{right}" stroke="#444"/>')
    for length in lengths:
        parts.append(f'<path d="M{x_of(length):.1f} {bottom} v4" stroke="#444"/>')
        parts.append(text(x_of(length), bottom + 17, length_text(length)))
    whole = [style for style, points in series.items() if max(points) == lengths[-1]]
    label_y = dict(zip(whole, spread([y_of(series[style][lengths[-1]]) for style in whole], LABEL_GAP)))

    def label_place(style):
        """Beside the end of the line; a line that ends early has its label where no line above it comes down or up."""
        name, last = STYLES[style][0], max(series[style])
        if style in label_y:
            return right + 10, label_y[style] + 4, name, "start"
        x, y = x_of(last), y_of(series[style][last])
        if any(points.get(last, 0) > series[style][last] for points in series.values()):
            return x + 9, y + 5, name, "start"
        return x - 6, y - 9, name, "end"

    for style, points in series.items():
        _, colour, dash, shape = STYLES[style]
        path = " L".join(f"{x_of(length):.1f} {y_of(points[length]):.1f}" for length in sorted(points))
        parts.append(
            f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="1.8"'
            + (f' stroke-dasharray="{dash}"/>' if dash else "/>")
        )
        parts += [marker(shape, x_of(length), y_of(points[length]), colour) for length in points]
        parts.append(text(*label_place(style), f' fill="{colour}"'))
    return parts


def series_of(rows, case, column, width):
    """Lines of one panel, in microseconds per token on one thread."""
    found = {}
    for style in STYLES:
        source, layer = ("pytorch", "attention") if style.startswith("pytorch") else ("ttt", style)
        points = {
            row[column]: row["us_per_token"]
            for row in select(rows, source=source, case=case, layer=layer, width=width, threads=1)
        }
        if points:
            found[style] = points
    return found


def latency(rows):
    """Forward and decode beside each other, at width 768, or at the only one measured."""
    widths = sorted({row["width"] for row in select(rows, source="ttt", case="forward", threads=1)})
    width = 768 if 768 in widths or not widths else widths[0]
    panels = [
        ("Forward", "forward", "tokens", "context length (tokens read at once)"),
        ("Decode", "decode", "before", "context length (tokens before this one)"),
    ]
    parts, offset = [], 0
    for title, case, column, x_label in panels:
        series = series_of(rows, case, column, width)
        if series:
            parts += panel(
                f"{title}, one layer of width {width}, one thread", "microseconds per token", x_label, series, offset
            )
            offset += PANEL
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {offset} {HEIGHT}" width="{offset}" height="{HEIGHT}" '
        'font-family="Helvetica, Arial, sans-serif" font-size="12">\n<rect width="100%" height="100%" fill="#fff"/>\n'
        + "\n".join(parts)
        + "\n</svg>\n"
    )
