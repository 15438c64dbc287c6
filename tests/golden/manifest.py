#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""manifest.py [--check] DIR: in DIR/manifest.json, the list of golden files that make_golden.py did not write.

Each has its size and sha256 and, of tensors, names with dtype and shape and what the file says of its source. make_golden.py writes
the manifest anew, so this runs after it. With --check nothing is written: a file that is missing there, or another one, is named."""
import hashlib
import json
import pathlib
import struct
import sys

FOLDERS = ("families", "jax")


def tensors_of(data):
    header = json.loads(data[8:8 + struct.unpack("<Q", data[:8])[0]])
    source = header.pop("__metadata__", {})
    return {"source": source, "tensors": {name: f"{t['dtype']} {t['shape']}" for name, t in sorted(header.items())}}


def entry(folder, path):
    data = path.read_bytes()
    known = {"path": path.relative_to(folder).as_posix(), "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return known | (tensors_of(data) if path.suffix == ".safetensors" else {})


def main():
    folder = pathlib.Path(sys.argv[-1])
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    files = sorted(f for name in FOLDERS for f in (folder / name).rglob("*") if f.is_file())
    found = [entry(folder, file) for file in files]
    if "--check" not in sys.argv:
        path.write_text(json.dumps(manifest | {"others": found}, indent=1))
        return 0
    listed = {each["path"]: each for each in manifest.get("others", [])}
    wrong = [each["path"] for each in found if listed.pop(each["path"], None) != each] + sorted(listed)
    for name in wrong:
        print(f"{path}: expected the entry of {name} as manifest.py writes it")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
