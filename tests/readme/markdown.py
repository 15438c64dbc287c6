# SPDX-License-Identifier: MIT
"""What the tests of the documents read of Markdown: fenced blocks, links, headings."""
import re
from pathlib import Path

LEFT_OUT = {".git", "build", ".cache", "__pycache__", "node_modules"}


def documents(root):
    """Every Markdown file of the tree."""
    return sorted(path for path in Path(root).rglob("*.md") if not LEFT_OUT & set(path.relative_to(root).parts))


def blocks(text):
    """(language, content) of each fenced block, in order."""
    return [(match[1], match[2]) for match in re.finditer(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)]


def prose(text):
    """The text without code: what is left are sentences, tables, links."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return re.sub(r"^(?: {4}|\t).*$", "", text, flags=re.MULTILINE)


def links(text):
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^()\s]+)\)", re.sub(r"`[^`]*`", "", prose(text)))


def anchors(text):
    """Names that links may give after #, made of the headings as GitHub makes them."""
    headings = re.findall(r"^#+ +(.*?) *$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def program_name(block):
    """first.cpp, for a block that begins with the comment `// first.cpp`; else None."""
    match = re.match(r"// (\w+\.cpp)\b", block)
    return match[1] if match else None
