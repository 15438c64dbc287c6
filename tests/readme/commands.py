#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""commands.py ROOT DOCUMENT WORK [PROGRAM]: runs the ```sh and ```cmake blocks of a document, in order, in the folder
WORK that looks like the root of the tree with the document's programs in it.

PROGRAM is the ttt-lm that commands find in their PATH and as build/release/bin/ttt-lm. Commands that would build or
test the whole tree (and so this test again) are not run: their scripts are parsed, their presets and targets looked up.
"""
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

sys.dont_write_bytecode = True
from markdown import blocks, program_name  # noqa: E402

PROJECT = "cmake_minimum_required(VERSION 3.22)\nproject(reader LANGUAGES CXX)\n"


def make_workplace(root, work, text, program):
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    for entry in root.iterdir():
        if entry.name not in {".git", "build"}:
            (work / entry.name).symlink_to(entry)
    for language, block in blocks(text):
        if language == "cpp" and program_name(block):
            (work / program_name(block)).write_text(block, encoding="utf-8")
    if program:
        (work / "build/release/bin").mkdir(parents=True)
        (work / "build/release/bin/ttt-lm").symlink_to(program)


def commands(block):
    """Lines that belong together, without their comments."""
    lines = re.sub(r"\\\n", " ", block).splitlines()
    return [command for command in (re.sub(r"(^|\s+)#.*", "", line).strip() for line in lines) if command]


def check_only(command, root):
    """Why a command that is not run could not work; "" if it could, None if it is one to run."""
    words = shlex.split(command)
    if words[0] == "bash" and words[1].endswith("/run.sh"):
        parsed = subprocess.run(["bash", "-n", str(root / words[1])], capture_output=True, text=True)
        return parsed.stderr
    if words[0] == "cmake" and "--preset" in words:
        kind = "buildPresets" if "--build" in words else "configurePresets"
        presets = json.loads((root / "CMakePresets.json").read_text(encoding="utf-8"))[kind]
        name = words[words.index("--preset") + 1]
        if name not in {preset["name"] for preset in presets if not preset.get("hidden")}:
            return f"there is no preset {name}"
        if "--target" in words:
            target = re.escape(words[words.index("--target") + 1])
            sources = root.rglob("CMakeLists.txt")
            if not any(re.search(rf"add_(executable|library|custom_target)\({target}\b", source.read_text(encoding="utf-8"))
                       for source in sources if "build" not in source.relative_to(root).parts):
                return f"there is no target {words[words.index('--target') + 1]}"
        return ""
    return None


def run(command, work):
    """Output of a command that failed; "" if it did not."""
    environment = dict(os.environ, PATH=f"{work / 'build/release/bin'}:{os.environ['PATH']}")
    done = subprocess.run(["bash", "-ec", command], cwd=work, env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace")
    return "" if done.returncode == 0 else f"exit code {done.returncode}\n{done.stdout}"


def build(block, number, root, work):
    """Configures and builds a project made of a ```cmake block, with the library in its folder ttt."""
    project = work / f"project_{number}"
    project.mkdir()
    (project / "CMakeLists.txt").write_text(PROJECT + block, encoding="utf-8")
    (project / "ttt").symlink_to(root)
    for source in work.glob("*.cpp"):
        shutil.copy(source, project)
    return run(f"cmake -S {project} -B {project}/build -DCMAKE_BUILD_TYPE=Debug && cmake --build {project}/build", work)


def main():
    root, document, work = (Path(argument).resolve() for argument in sys.argv[1:4])
    text = document.read_text(encoding="utf-8")
    make_workplace(root, work, text, sys.argv[4] if len(sys.argv) > 4 else None)
    counts, errors = {"run": 0, "looked at": 0, "built": 0}, []
    for language, block in blocks(text):
        if language == "cmake":
            counts["built"] += 1
            found = [("the ```cmake block", build(block, counts["built"], root, work))]
        elif language == "sh":
            found = []
            for command in commands(block):
                problem = check_only(command, root)
                counts["run" if problem is None else "looked at"] += 1
                found.append((command, run(command, work) if problem is None else problem))
        else:
            continue
        errors += [f"{document}: {what}: {problem}" for what, problem in found if problem]
    for error in errors:
        print(error, file=sys.stderr)
    print(f"{document.name}: {', '.join(f'{count} {how}' for how, count in counts.items())}, {len(errors)} failed")
    return 1 if errors or not any(counts.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
