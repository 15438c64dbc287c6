#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_unicode.py: writes include/ttt/io/tokenizer/unicode.hpp, the character classes that pre-tokenisers split at.

Needs unicodedata2 of the Unicode version below, which is that of the regular expressions in tokenizers 0.23. With
tokenizers installed too, the classes are compared with those expressions for every code point.
"""
import importlib.util
import sys
from pathlib import Path

import unicodedata2

VERSION = "16.0.0"
SPACES = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F,
          0x205F, 0x3000]
CODES = [code for code in range(0x110000) if not 0xD800 <= code < 0xE000]
HEAD = """// SPDX-License-Identifier: MIT
/// @file
/// Unicode {version}, made by tests/io/tokenizer/make_unicode.py.
#pragma once

#include <array>
#include <cstdint>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN
namespace io::unicode {{

inline constexpr const char* version = "{version}";
"""
TAIL = """
}  // namespace io::unicode
TTT_NAMESPACE_END
"""


def borders(codes):
    """Where membership changes: in, out, in, out, …"""
    result = []
    for code in sorted(codes):
        if result and result[-1] == code:
            result[-1] = code + 1
        else:
            result += [code, code + 1]
    return result


def table(name, what, codes):
    values, lines, line = borders(codes), [], "   "
    for value in values:
        if len(line) + len(f" 0x{value:X},") > 119:
            lines.append(line)
            line = "   "
        line += f" 0x{value:X},"
    body = "\n".join(lines + [line.rstrip(",") + "};"])
    return (f"\n/// {what}: code points where membership begins and ends in turn.\n"
            f"inline constexpr std::array<std::uint32_t, {len(values)}> {name}{{\n{body}\n")


def check_against_tokenizers(classes):
    from tokenizers import Regex, pre_tokenizers
    for pattern, codes in classes.items():
        splitter = pre_tokenizers.Split(Regex(pattern), "removed")
        found = {code for code in CODES if not splitter.pre_tokenize_str(chr(code))}
        if found != set(codes):
            sys.exit(f"{pattern}: differs at {[hex(code) for code in sorted(found ^ set(codes))[:10]]}")
        print(f"{pattern}: the same {len(found)} of {len(CODES)} code points as tokenizers")


def main():
    if unicodedata2.unidata_version != VERSION:
        sys.exit(f"expected unicodedata2 {VERSION}, found {unicodedata2.unidata_version}")
    letters, numbers = ([code for code in CODES if unicodedata2.category(chr(code))[0] == first] for first in "LN")
    text = (HEAD.format(version=VERSION) + table("letters", r"\\p{L}", letters) + table("numbers", r"\\p{N}", numbers)
            + table("spaces", r"White_Space", SPACES) + TAIL)
    root = Path(__file__).resolve().parents[3]
    (root / "include/ttt/io/tokenizer/unicode.hpp").write_text(text.replace("\\\\p", "\\p"), encoding="utf-8")
    if importlib.util.find_spec("tokenizers"):
        check_against_tokenizers({r"\p{L}": letters, r"\p{N}": numbers, r"\s": SPACES})


if __name__ == "__main__":
    main()
