#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare_with_tokenizers.py TOKENIZER.json ... [--text FILE ...]: the same ids as the Python package tokenizers?

Encodes a million characters of many scripts, emoji, white space and special tokens, and for byte-level vocabularies as
many bytes with invalid UTF-8, with both, whole texts at a time; checks decoding and the way there and back; measures
both on one thread with --text. Needs a C++ compiler (CXX) and tokenizers 0.23, whose Unicode version is ours.
"""
import argparse
import json
import os
import random
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ["TOKENIZERS_PARALLELISM"] = "false"
import tokenizers  # noqa: E402
from tokenizers import Regex, Tokenizer, pre_tokenizers  # noqa: E402

ROOT = Path(__file__).resolve().parents[3]
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
SCRIPTS = [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F), (0x250, 0x2AF), (0x370, 0x3FF), (0x400, 0x52F), (0x531, 0x58F),
           (0x591, 0x5F4), (0x600, 0x6FF), (0x700, 0x74F), (0x780, 0x7B1), (0x900, 0x97F), (0x980, 0x9FE),
           (0xA01, 0xA76), (0xA81, 0xAFF), (0xB01, 0xB77), (0xB82, 0xBFA), (0xC00, 0xC7F), (0xC80, 0xCF3),
           (0xD00, 0xD7F), (0xE01, 0xE5B), (0xE81, 0xEDF), (0xF00, 0xFDA), (0x1000, 0x109F), (0x10A0, 0x10FF),
           (0x1100, 0x11FF), (0x1200, 0x137C), (0x13A0, 0x13FD), (0x1400, 0x167F), (0x1780, 0x17F9), (0x1800, 0x18AA),
           (0x1E00, 0x1FFE), (0x2150, 0x218B), (0x2460, 0x24FF), (0x3041, 0x30FF), (0x3105, 0x318E), (0x4E00, 0x9FFF),
           (0xAC00, 0xD7A3), (0xF900, 0xFAFF), (0xFF01, 0xFFEE), (0x10000, 0x100FA), (0x10330, 0x1034A),
           (0x10A00, 0x10A58), (0x12000, 0x12399), (0x13000, 0x1342F), (0x1D400, 0x1D7FF), (0x20000, 0x2A6DF)]
SYMBOLS = [(0x21, 0x2F), (0x3A, 0x40), (0x5B, 0x60), (0x7B, 0x7E), (0xA1, 0xBF), (0x2010, 0x2027), (0x20A0, 0x20C0),
           (0x2190, 0x21FF), (0x2200, 0x22FF), (0x2500, 0x257F), (0x3001, 0x3020), (0x300, 0x36F), (0xE000, 0xF8FF)]
SPACES = [" "] * 12 + ["  ", "   ", "\n", "\n\n", "\r\n", "\t", " \n", "\n ", "\n  ", "\u00a0", "\u3000", "\u2003",
                       "\u2028", "\x85", "\x0b", "\u200b", "\r", " \r\n \n", "\u1680", "\x1c"]
EMOJI = ["😀", "👍🏽", "👩‍👩‍👧‍👦", "🇩🇪🇯🇵", "❤️", "🏳️‍🌈", "🫠", "1️⃣", "🧑🏿‍🚀", "☃", "🪿"]
WORDS = ["the", " of", "and", "I'm", "you're", "WE'LL", "it's", "IT'S", "don't", "they'd", "I'Ve", "x'ſ", "''s", "'",
         "function", "return", "0x1F", "3.14159", "1234567", "١٢٣٤", "Ⅻ", "½", "<0x0A>", "<unk", "...", "!!!\n\n",
         "naïve", "\ufeff", "e\u0301", "\u1ec7", "ß", "İ", "\0", "\x1b[0m", "[INST]", "===", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
         "aaaaaaaaaaaaaaaaaaaaaaa"]


def pick(random_, ranges, count):
    low, high = random_.choice(ranges)
    return "".join(chr(random_.randint(low, high)) for _ in range(count))


def piece(random_, specials):
    kind = random_.random()
    if kind < 0.45:
        return pick(random_, SCRIPTS, random_.randint(1, 12))
    if kind < 0.60:
        return random_.choice(WORDS)
    if kind < 0.72:
        return pick(random_, SYMBOLS, random_.randint(1, 4))
    if kind < 0.79:
        return str(random_.randint(0, 10 ** random_.randint(1, 9)))
    if kind < 0.87:
        return random_.choice(EMOJI)
    if kind < 0.90 and specials:
        return random_.choice(specials)
    code = random_.randint(0, 0x10FFFF)
    return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"


def make_texts(seed, characters, specials):
    random_, texts = random.Random(seed), []
    while sum(map(len, texts)) < characters:
        text = "".join(random_.choice(SPACES + [""] * 6) + piece(random_, specials)
                       for _ in range(random_.randint(0, 400)))
        texts.append(text + random_.choice(["", " ", "\n", "  ", "\n\n"]))
    return texts + ["", " ", "  ", "\n", "'", "'s", "a" * 5000, " " * 3000, "ab" * 3000, "漢" * 2000]


def make_bytes(seed, size):
    """Texts with bytes left out, doubled and made up."""
    random_, texts = random.Random(seed), []
    for text in make_texts(seed, size // 2, []):
        data = bytearray(text.encode())
        for _ in range(1 + len(data) // 20):
            place = random_.randint(0, len(data))
            data[place:place + random_.randint(0, 2)] = random_.randbytes(random_.randint(0, 3))
        texts.append(bytes(data))
    return texts + [bytes(range(256)), b"\xff" * 100, b"\xed\xa0\x80 \xc0\xaf", b"\xf4\x90\x80\x80x", b"caf\xc3"]


def build_program(folder):
    program = Path(folder, "encode_texts")
    command = [os.environ.get("CXX", "c++"), "-std=c++20", "-O3", "-march=native", "-DNDEBUG", f"-I{ROOT / 'include'}",
               str(Path(__file__).with_name("encode_texts.cpp")), "-o", str(program)]
    subprocess.run(command, check=True)
    return program


def ask(program, file, texts):
    """Ids, ids with special tokens and decoded bytes of each text."""
    question = b"".join(struct.pack("<q", len(text)) + text for text in texts)
    answer = subprocess.run([program, file], input=question, capture_output=True, check=True).stdout
    place, results = 0, []

    def number():
        nonlocal place
        place += 8
        return struct.unpack_from("<q", answer, place - 8)[0]

    for _ in texts:
        ids = [number() for _ in range(number())]
        special = [number() for _ in range(number())]
        size = number()
        results.append((ids, special, answer[place:place + size]))
        place += size
    return results


def report(name, wrong, count, what):
    print(f"{name}: {count - len(wrong)} of {count} texts {what}")
    for text, *details in wrong[:3]:
        print("   ", repr(text)[:300], *[repr(detail)[:300] for detail in details])
    return len(wrong)


def compare_texts(program, file, characters):
    tokenizer, description = Tokenizer.from_file(file), json.loads(Path(file).read_text(encoding="utf-8"))
    specials = [token["content"] for token in description["added_tokens"]][:20]
    texts = make_texts(1, characters, specials)
    results = ask(program, file, [text.encode() for text in texts])
    name = f"{file}, {sum(map(len, texts))} characters"
    ids, special, decoded, back = [], [], [], []
    metaspace = (description["pre_tokenizer"] or {}).get("type") == "Metaspace"
    for text, (our_ids, our_special, our_text) in zip(texts, results):
        theirs = tokenizer.encode(text, add_special_tokens=False).ids
        if our_ids != theirs:
            ids.append((text, our_ids, theirs))
        if our_special != tokenizer.encode(text).ids:
            special.append((text,))
        if our_text.decode(errors="replace") != tokenizer.decode(theirs, skip_special_tokens=False):
            decoded.append((text, our_text, tokenizer.decode(theirs, skip_special_tokens=False)))
        has_special = any(s in text for s in specials)
        lossless = is_byte_level(description) or not ("\u2581" in text or has_special or metaspace and text.startswith(" "))
        normal = tokenizer.normalizer.normalize_str(text) if has_normal_form(description) else text
        if lossless and our_text != normal.encode() and not (has_special and normal != text):
            back.append((text, our_text))
    return (report(name, ids, len(texts), "have the same ids") + report(name, special, len(texts), "too with special tokens")
            + report(name, decoded, len(texts), "are decoded alike") + report(name, back, len(texts), "come back"))


def has_normal_form(description):
    return is_byte_level(description) and bool(description["normalizer"])


def is_byte_level(description):
    return "ByteLevel" in json.dumps(description["pre_tokenizer"])


def characters_of(data):
    """What the scanners see: well-formed sequences, and other bytes one by one."""
    place = 0
    while place < len(data):
        for length in (1, 2, 3, 4):
            try:
                yield data[place:place + length].decode(), data[place:place + length]
                break
            except UnicodeDecodeError:
                pass
        else:
            yield "\ue000", data[place:place + 1]
            length = 1
        place += length


def reference_ids(tokenizer, splitter, data):
    """Ids of bytes by the package: split with a private character in the place of a bad byte, then word by word."""
    characters = list(characters_of(data))
    pieces = splitter.pre_tokenize_str("".join(character for character, _ in characters))
    ids = []
    for _, (start, end) in pieces:
        spelt = "".join(SPELLING[byte] for _, raw in characters[start:end] for byte in raw)
        ids += [token.id for token in tokenizer.model.tokenize(spelt)]
    return ids


def spelling():
    prints = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in prints]
    return {**{byte: chr(byte) for byte in prints}, **{byte: chr(256 + i) for i, byte in enumerate(others)}}


SPELLING = spelling()


def compare_bytes(program, file, size):
    tokenizer, description = Tokenizer.from_file(file), json.loads(Path(file).read_text(encoding="utf-8"))
    parts = (description["pre_tokenizer"] or {}).get("pretokenizers", [])
    splits_once = len(parts) == 2 and parts[0]["type"] == "Split" or not parts
    if not is_byte_level(description) or has_normal_form(description) or not splits_once:
        return 0  # a private character in the place of a byte would do, but not behind ByteLevel or beside a mark
    pattern = parts[0]["pattern"]["Regex"] if parts else GPT2
    splitter = pre_tokenizers.Split(Regex(pattern), "isolated")
    added = [token["content"].encode() for token in description["added_tokens"]]
    texts = [text for text in make_bytes(2, size) if not any(token in text for token in added)]
    ids, back = [], []
    for data, (our_ids, _, our_text) in zip(texts, ask(program, file, texts)):
        theirs = reference_ids(tokenizer, splitter, data)
        if our_ids != theirs:
            ids.append((data, our_ids, theirs))
        if our_text != data:
            back.append((data, our_text))
    name = f"{file}, {sum(map(len, texts))} bytes with invalid UTF-8"
    return report(name, ids, len(texts), "have the same ids") + report(name, back, len(texts), "come back")


def compare_speed(program, file, path):
    ours = float(subprocess.run([program, file, "--speed", path], capture_output=True, check=True).stdout)
    tokenizer, text, best = Tokenizer.from_file(file), Path(path).read_text(encoding="utf-8", errors="replace"), 0
    pieces = [text[start:start + 10_000] for start in range(0, len(text), 10_000)]  # it is slow with long ones
    for _ in range(3):
        start = time.perf_counter()
        for part in pieces:
            tokenizer.encode(part, add_special_tokens=False)
        best = max(best, len(text.encode()) / 1e6 / (time.perf_counter() - start))
    print(f"{file} on {path}: {ours:.1f} MB/s, tokenizers {best:.1f} MB/s, one thread each")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tokenizers", nargs="+")
    parser.add_argument("--text", nargs="*", default=[], help="files to measure the speed with")
    parser.add_argument("--characters", type=int, default=1_000_000)
    options = parser.parse_args()
    print("tokenizers", tokenizers.__version__)
    with tempfile.TemporaryDirectory() as folder:
        program = build_program(folder)
        wrong = sum(compare_texts(program, file, options.characters) + compare_bytes(program, file, options.characters)
                    for file in options.tokenizers)
        for file in options.tokenizers:
            for path in options.text:
                compare_speed(program, file, path)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
