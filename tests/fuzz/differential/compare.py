#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""compare.py READ_FILES [COUNT] [SEED]: mutated safetensors files, read by this library and by the Python package.

Both must accept a file, with the same tensors, or both refuse it. The differences below are the only ones: where this
library keeps to the text of the format and the package does not, the limits of this library, and types that the
package has never heard of, which keep nobody from the other tensors here. Any other is printed with the file, and the
exit status is 1. Without the package the exit status is 77."""
import collections
import json
import random
import re
import struct
import subprocess
import sys

try:
    import safetensors
except ImportError:
    print("compare.py: the package safetensors is not installed")
    sys.exit(77)

DTYPES = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2, "I64": 8, "I32": 4, "U8": 1, "BOOL": 1}
NUMBERS = ["0", "1", "2", "3", "4", "7", "8", "16", "-1", "-0", "1.0", "1e0", "00", "01", "4294967296", "2147483648",
           "4611686018427387904", "4611686018427387905", "9223372036854775807", "9223372036854775808",
           "18446744073709551615", "18446744073709551616", "1e999", "NaN", "null", "true", '"1"', "[1]", "{}", ""]
WORDS = (list(DTYPES) + ["F8_E4M3", "I8", "U16", "C64", "F4", "F6_E2M3", "f32", "F31", "", "dtype", "shape", "data_offsets", "__metadata__",
                         "t0", "t1", "\\u0074", "\\ud800", "\\ud83d\\ude00", "\\n", "\\u0000", "\u00e9", "\x00"])
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|[{}\[\],:]|\s+|.', re.DOTALL)

DUPLICATE = "duplicate"  # decided by the file: the first of the two can be wrong in other ways, too

# Files that the package takes and this library refuses, by the reason it gives. The first four are against the text of
# the format, which the package does not check; the others are limits that this library states.
STRICTER = [
    ("duplicate key", DUPLICATE),
    ("header that does not begin with '{'", r"expected '\{' as the first byte"),
    ("tensor that is an array", r"byte \d+ of the JSON text: expected '\{', found '\['"),
    ("dtype that is an object", r"byte \d+ of the JSON text: expected a string, found '\{'"),
    ("size of 2^63 or more", r"expected a size below 2\^63"),
]


def valid_file(chance):
    """A header as tokens, and the data."""
    tensors, begin = [], 0
    for i in range(chance.randrange(4)):
        dtype = chance.choice(list(DTYPES))
        shape = [chance.choice([0, 1, 1, 2, 2, 3, 4]) for _ in range(chance.choice([0, 1, 1, 2, 2, 3]))]
        size = DTYPES[dtype]
        for extent in shape:
            size *= extent
        tensors.append((f"t{i}", {"dtype": dtype, "shape": shape, "data_offsets": [begin, begin + size]}))
        begin += size
    chance.shuffle(tensors)
    if chance.random() < 0.3:
        tensors.insert(0, ("__metadata__", {"format": "pt", "k": "v"}))
    separators = chance.choice([(",", ":"), (", ", ": ")])
    text = json.dumps(dict(tensors), separators=separators).encode()
    if chance.random() < 0.02:
        text = re.sub(rb'"dtype": ?("\w+")', rb'"dtype":{\1:null}', text, count=1)
    if chance.random() < 0.02:
        members = rb'{"dtype": ?("\w+"), ?"shape": ?(\[[^]]*\]), ?"data_offsets": ?(\[[^]]*\])}'
        text = re.sub(members, rb"[\1,\2,\3]", text, count=1)
    return TOKEN.findall(text), chance.randbytes(begin)


def mutate_tokens(chance, tokens):
    """One change that keeps most of the structure."""
    if not tokens:
        return
    at, kind = chance.randrange(len(tokens)), chance.randrange(11)
    numbers = [i for i, token in enumerate(tokens) if token[:1].isdigit()]
    strings = [i for i, token in enumerate(tokens) if token[:1] == b'"']
    if kind <= 2 and numbers:
        at = chance.choice(numbers)
        near = str(int(tokens[at]) + chance.choice([-4, -1, 1, 4])) if tokens[at].isdigit() else "0"
        tokens[at] = (near if kind == 0 else chance.choice(NUMBERS)).encode()
    elif kind == 3 and strings:
        tokens[chance.choice(strings)] = b'"' + chance.choice(WORDS).encode() + b'"'
    elif kind == 4 and len(strings) > 1:
        tokens[chance.choice(strings)] = tokens[chance.choice(strings)]
    elif kind == 5:
        tokens.insert(at, chance.choice([b" ", b"\n", b"\t", b"\r", b"\x00", b"\x0b", b"\xa0", b"{", b"}", b"[", b"]",
                                         b",", b":", b"null", b"1", b'"x"', b'"x":1,', b'"x":{"y":[1,2]},',
                                         b'"x":1e999,', b'"__metadata__":null,', b'"shape":[1],']))
    elif kind == 6:
        del tokens[at]
    elif kind == 7:  # a part again: duplicate keys, tensors and elements
        end = min(len(tokens), at + chance.choice([1, 2, 4, 17]))
        other = chance.randrange(len(tokens))
        tokens[other:other] = tokens[at:end]
    elif kind == 8:  # what is allowed everywhere
        tokens.insert(at, chance.choice([b" ", b"\n", b"\t", b"\r", b"  "]))
    elif kind == 9:  # what is allowed in an object that has members already
        commas = [i for i, token in enumerate(tokens) if token == b"," and tokens[i + 1:i + 2] and
                  tokens[i + 1].strip()[:1] in (b'"', b"")]
        if commas:
            value = chance.choice([b"1", b"-0.5e3", b"null", b"true", b'"\\u00e9"', b"{}", b'{"y":[1,[]]}', b"1e999"])
            tokens.insert(chance.choice(commas), b',"x' + str(chance.randrange(9)).encode() + b'":' + value)
    else:
        other = chance.randrange(len(tokens))
        tokens[at], tokens[other] = tokens[other], tokens[at]


def mutate_bytes(chance, data):
    data = bytearray(data)
    for _ in range(chance.choice([1, 1, 2, 4])):
        if not data:
            break
        at = chance.randrange(len(data))
        data[at] = chance.choice([data[at] ^ (1 << chance.randrange(8)), chance.randrange(256), *b' "0{}[],:'])
    return bytes(data)


def mutated_file(chance):
    tokens, data = valid_file(chance)
    for _ in range(chance.choice([0, 1, 1, 1, 1, 2, 2, 3])):
        mutate_tokens(chance, tokens)
    header = b"".join(tokens)
    if chance.random() < 0.2:
        header += b" " * chance.randrange(9)
    if chance.random() < 0.1:
        header = mutate_bytes(chance, header)
    if chance.random() < 0.1:
        data = data[:-1] if chance.random() < 0.5 else data + chance.randbytes(chance.choice([1, 4, 8]))
    length = len(header)
    if chance.random() < 0.05:
        length = chance.choice([0, 1, length - 1, length + 1, length + len(data), length + len(data) + 1, 100_000_000,
                                100_000_001, 1 << 63, (1 << 64) - 1, (1 << 64) - 8]) % (1 << 64)
    file = struct.pack("<Q", length) + header + data
    if chance.random() < 0.03:
        file = file[:chance.randrange(len(file) + 1)]
    if chance.random() < 0.03:
        file = mutate_bytes(chance, file)
    return file


def package_answer(file):
    try:
        tensors = safetensors.deserialize(file)
    except (safetensors.SafetensorError, UnicodeDecodeError) as error:
        return "! " + str(error)
    return "".join(sorted(f"{name.encode().hex()} {info['dtype']} {info['shape']} {bytes(info['data']).hex()};"
                          for name, info in tensors))


def sorted_answer(line):
    return line if line.startswith("!") else "".join(sorted(part + ";" for part in line.split(";")[:-1]))


def has_duplicate_key(file):
    found = []

    def members(pairs):
        found.extend([True] * (len(pairs) - len(dict(pairs))))
        return dict(pairs)

    try:
        json.loads(file[8:8 + struct.unpack("<Q", file[:8])[0]].decode(), object_pairs_hook=members)
    except (ValueError, struct.error):
        pass
    return bool(found)


def known_difference(file, reason):
    """Why this library may refuse a file that the package takes; None when it may not."""
    for name, pattern in STRICTER:
        if has_duplicate_key(file) if pattern is DUPLICATE else re.search(pattern, reason):
            return name
    return None


def main():
    program = sys.argv[1]
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 20_000
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else 1
    chance = random.Random(seed)
    kinds, wrong, done = collections.Counter(), 0, 0
    while done < count and wrong < 20:
        files = [mutated_file(chance) for _ in range(min(10_000, count - done))]
        stream = b"".join(struct.pack("<I", len(file)) + file for file in files)
        lines = subprocess.run([program], input=stream, stdout=subprocess.PIPE, check=True).stdout.decode().split("\n")
        assert len(lines) == len(files) + 1, "one line for each file"
        for file, line in zip(files, lines):
            ours, theirs = sorted_answer(line), package_answer(file)
            if ours == theirs:
                kinds["both accept"] += 1
            elif ours.startswith("!") and theirs.startswith("!"):
                kinds["both refuse"] += 1
            else:
                known = known_difference(file, ours) if ours.startswith("!") else None
                if known:
                    known = "only the package accepts: " + known
                elif not ours.startswith("!") and re.search("unknown variant `.*`, expected one of `BOOL`", theirs, re.DOTALL):
                    known = "only this library accepts: unknown dtype"
                kinds[known or "DISAGREE"] += 1
                if not known:
                    wrong += 1
                    print(f"{file!r}\n  here:    {ours}\n  package: {theirs}")
        done += len(files)
    print(f"{done} files, seed {seed}, safetensors {safetensors.__version__}")
    for kind, number in kinds.most_common():
        print(f"{number:9} {kind}")
    if not kinds["both accept"] or not kinds["both refuse"]:
        print("compare.py: the mutations reach one side only")
        return 1
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
