#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check.py CHECK ROOT: one rule about the documents (see CHECKS); prints how many cases it looked at."""
import re
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from markdown import anchors, blocks, documents, links, prose  # noqa: E402

README_LINES = 150
LANGUAGES = {"cpp", "sh", "cmake", ""}  # all but the last, which is for pictures of text, are run
ROOMS = "include|tests|examples|bench|cmake"


def check_length(root):
    """Two screens are read, four are not."""
    lines = (root / "README.md").read_text(encoding="utf-8").count("\n")
    return lines, [] if lines <= README_LINES else [f"README.md: {lines} lines, at most {README_LINES}"]


def check_links(root):
    count, errors = 0, []
    for document in documents(root):
        for link in links(document.read_text(encoding="utf-8")):
            if re.match(r"\w+:", link):
                continue
            count += 1
            path, _, anchor = link.partition("#")
            target = (document.parent / path).resolve() if path else document
            if not target.exists():
                errors.append(f"{document}: links to {link}, there is no such file")
            elif anchor and anchor not in anchors(target.read_text(encoding="utf-8")):
                errors.append(f"{document}: links to {link}, there is no such heading")
    return count, errors


def check_paths(root):
    """Files and headers that a document names are there."""
    count, errors = 0, []
    for document in documents(root):
        for name in re.findall(r"`([^`\s]+)`", prose(document.read_text(encoding="utf-8"))):
            header = re.fullmatch(r"<?(ttt/[\w/]+\.hpp)>?", name)
            if header:
                target = root / "include" / header[1]
            elif re.fullmatch(rf"(?:{ROOMS})/[\w./-]+", name):
                target = root / name
            else:
                continue
            count += 1
            if not target.exists():
                errors.append(f"{document}: names {name}, which is not there")
    return count, errors


def check_blocks(root):
    """Code in README.md is of a kind that a test runs; elsewhere what is indented is only shown."""
    count, errors = 0, []
    for document in documents(root):
        text = document.read_text(encoding="utf-8")
        for language, _ in blocks(text):
            count += 1
            if language not in LANGUAGES:
                errors.append(f"{document}: ```{language} is no language that a test runs ({', '.join(LANGUAGES)})")
        if document == root / "README.md":
            outside = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
            errors += [f"README.md: '{line.strip()}' is code that no test runs"
                       for line in re.findall(r"^(?: {4}|\t).*$", outside, re.MULTILINE)]
            errors += ["README.md: a ``` block without a language is code that no test runs"
                       for language, _ in blocks(text) if not language]
    return count, errors


CHECKS = {"length": check_length, "links": check_links, "paths": check_paths, "blocks": check_blocks}


def main():
    name, root = sys.argv[1], Path(sys.argv[2]).resolve()
    count, errors = CHECKS[name](root)
    for error in errors:
        print(error, file=sys.stderr)
    print(f"readme/{name}: {count} cases, {len(errors)} broken")
    return 1 if errors or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
