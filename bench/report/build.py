# SPDX-License-Identifier: MIT
"""Builds the benchmarks of this tree, and the library of another revision under the benchmarks of this tree."""

import os
import pathlib
import shutil
import subprocess
import tarfile


class Failure(Exception):
    """Ends the run with one line for the user."""


def _build(tree, log, targets, what):
    environment = dict(os.environ, CMAKE_GENERATOR=os.environ.get("CMAKE_GENERATOR", "Ninja"))
    commands = [
        ["cmake", "--preset", "bench"],
        ["cmake", "--build", "--preset", "bench", "--parallel", str(os.cpu_count())]
        + (["--target", *targets] if targets else []),
    ]
    with open(log, "w", encoding="utf-8") as out:
        for command in commands:
            if subprocess.run(command, cwd=tree, env=environment, stdout=out, stderr=subprocess.STDOUT).returncode:
                raise Failure(f"{what} does not build: see {log}")
    return tree / "build/bench/bin"


def benchmarks(root, folder):
    """The folder of this tree's benchmark programs."""
    return _build(root, folder / "build.log", [], "the bench preset")


def revision(root, name):
    """The commit that `name` means."""
    found = subprocess.run(
        ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", name + "^{commit}"],
        cwd=root,
        stdout=subprocess.PIPE,
        text=True,
    )
    if found.returncode:
        raise Failure(f"--compare: no revision '{name}' in this repository")
    return found.stdout.strip()


def benchmarks_of(root, commit, folder):
    """The folder of programs that time the library of `commit`: its tree with the benchmarks of this one, so that both
    are measured alike."""
    tree = root / "build/compare" / commit[:12]
    if not tree.exists():
        tree.mkdir(parents=True)
        with subprocess.Popen(["git", "archive", commit], cwd=root, stdout=subprocess.PIPE) as archive:
            tarfile.open(fileobj=archive.stdout, mode="r|").extractall(tree)
    shutil.rmtree(tree / "bench", ignore_errors=True)
    shutil.copytree(root / "bench", tree / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    targets = ["layers_layers_bench", "models_causal_lm_bench"]
    return _build(tree, folder / "build_reference.log", targets, f"--compare: revision {commit[:12]}")


def other_programs(programs, known):
    return sorted(path.name for path in pathlib.Path(programs).glob("*_bench") if path.name not in known)
