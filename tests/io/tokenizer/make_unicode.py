#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_unicode.py: writes include/ttt/io/tokenizer/unicode.hpp, what tokenizers know about characters.

Needs unicodedata2 16.0.0, the Unicode version of the regular expressions in tokenizers 0.23, and tokenizers 0.23.3,
whose other parts are of other versions: they are asked about every code point. Its regular expressions are compared
with the general categories.
"""
import sys
from pathlib import Path

import unicodedata2
from tokenizers import Regex, normalizers, pre_tokenizers

VERSION = "16.0.0"
CATEGORIES = ["Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
              "Sm", "Sc", "Sk", "So", "Zs", "Zl", "Zp", "Cc", "Cf", "Cs", "Co", "Cn"]
SPACES = {*range(0x09, 0x0E), 0x85}  # white space besides \\p{Z}
SIZE = 0x110000
CODES = [code for code in range(SIZE) if not 0xD800 <= code < 0xE000]
HEAD = """// SPDX-License-Identifier: MIT
/// @file
/// What tokenizers know about characters: general categories of Unicode {version}, and sets and canonical forms of the
/// versions that the Python package tokenizers 0.23 has; made by tests/io/tokenizer/make_unicode.py.
///
/// Every text here is a list of numbers: five bits a character, the lowest first, as '0' + bits + 32 when more follow.
#pragma once

#include <string_view>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN
namespace io::unicode {{

inline constexpr std::string_view version = "{version}";

/// The two letters of each category, by its number.
inline constexpr std::string_view category_names = "{names}";
"""
TAIL = """
}  // namespace io::unicode
TTT_NAMESPACE_END
"""


def packed(numbers):
    text = ""
    for number in numbers:
        while number >= 32:
            text += chr(48 + 32 + number % 32)
            number //= 32
        text += chr(48 + number)
    return text


def table(name, what, numbers):
    text = packed(numbers)
    lines = "\n".join(f'    R"({text[start:start + 110]})"' for start in range(0, len(text), 110))
    return f"\n/// {what}.\ninline constexpr std::string_view {name} =\n{lines};\n"


def runs(values):
    """[value, how often, value, how often, ...]"""
    result = []
    for value in values:
        if result and result[-2] == value:
            result[-1] += 1
        else:
            result += [value, 1]
    return result


def lengths(codes):
    """How many code points are out, in, out, in, ..."""
    result, place = [], 0
    for begins, (member, count) in enumerate(zip(*[iter(runs(code in codes for code in range(SIZE)))] * 2)):
        result += [0, count] if member and not begins else [count]
    return result


def decompositions():
    """2 * distance to the code point before + whether it is never composed, first part, second part or 0."""
    canonical, result, last = normalizers.NFD(), [], 0
    for code in CODES:
        parts = unicodedata2.decomposition(chr(code))
        if not parts or parts.startswith("<") or canonical.normalize_str(chr(code)) == chr(code):
            continue
        first, second = [int(part, 16) for part in parts.split()] + [0] * (1 - parts.count(" "))
        composes = second and unicodedata2.normalize("NFC", chr(first) + chr(second)) == chr(code)
        result += [2 * (code - last) + (not composes), first, second]
        last = code
    return result


def combining_class(canonical, code):
    """Of a mark that the package moves behind another one, or another one behind it; else 0."""
    known = unicodedata2.combining(chr(code))
    other = "\u0334" if known > 1 else "\u0323"  # classes 1 and 220
    pairs = {canonical.normalize_str("a" + pair) for pair in (chr(code) + other, other + chr(code))}
    return known if known and len(pairs) == 1 else 0


def check_categories(categories):
    for wanted in [*CATEGORIES, "L", "M", "N", "P", "S", "Z", "C", "s", "d"]:
        pattern = rf"\{wanted}" if wanted.islower() else rf"\p{{{wanted}}}"
        splitter = pre_tokenizers.Split(Regex(pattern), "removed")
        found = {code for code in CODES if not splitter.pre_tokenize_str(chr(code))}
        name = {"s": "Z", "d": "Nd"}.get(wanted, wanted)
        expected = {code for code in CODES if CATEGORIES[categories[code]].startswith(name)}
        expected |= SPACES if wanted == "s" else set()
        if found != expected:
            sys.exit(f"{pattern}: differs at {[hex(code) for code in sorted(found ^ expected)[:10]]}")
        print(f"{pattern}: the same {len(found)} of {len(CODES)} code points as tokenizers")


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"expected unicodedata2 {VERSION}, found {unicodedata2.unidata_version}")
    categories = [CATEGORIES.index(unicodedata2.category(chr(code))) for code in range(SIZE)]
    check_categories(categories)
    canonical = normalizers.NFD()
    classes = [0 if 0xD800 <= code < 0xE000 else combining_class(canonical, code) for code in range(SIZE)]
    digits, punctuation = pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.Punctuation("removed")
    text = (HEAD.format(version=VERSION, names="".join(CATEGORIES))
            + table("categories", "General categories: category, how many code points, and so on", runs(categories))
            + table("numeric", "What Digits splits at (Unicode 17): how many code points are out, in, out, and so on",
                    lengths({code for code in CODES if len(digits.pre_tokenize_str("a" + chr(code))) == 2}))
            + table("punctuation", "What Punctuation splits at (Unicode 8 and the symbols of ASCII), likewise",
                    lengths({code for code in CODES if not punctuation.pre_tokenize_str(chr(code))}))
            + table("combining_classes", "Canonical combining classes (Unicode 9): class, how many code points, and so on",
                    runs(classes))
            + table("decompositions",
                    "Canonical decompositions (Unicode 9): 2 · distance to the one before + whether it is never composed,\n"
                    "/// first part, second part or 0", decompositions()) + TAIL)
    root = Path(__file__).resolve().parents[3]
    (root / "include/ttt/io/tokenizer/unicode.hpp").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
