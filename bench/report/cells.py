# SPDX-License-Identifier: MIT
"""What every part of the table is written with: numbers, and cells as lines."""


def number(value):
    """Three digits, thousands separated."""
    return f"{value:.3g}" if 0 < value < 100 else f"{value:,.0f}"


def plural(count, name="thread"):
    return f"1 {name}" if count == 1 else f"{number(count)} {name}s"


def lines(cells, indent="  "):
    """Rows of equal length as lines, the first column to the left and the others to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    padded = [
        [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:]))] for row in cells
    ]
    return [(indent + "  ".join(row)).rstrip() for row in padded]
