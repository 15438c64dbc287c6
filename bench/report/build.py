# SPDX-License-Identifier: MIT
"""Builds the benchmarks of this tree, and the library of another revision under the benchmarks of this tree."""

import os
import pathlib
import shutil
import subprocess
import tarfile


class Failure(Exception):
    """Ends the run with one line for the user."""


CONFIGURE = ["cmake", "--preset", "bench"]
PROGRAMS = "build/bench/bin"


def _compile(*targets):
    command = ["cmake", "--build", "--preset", "bench", "--parallel", str(os.cpu_count())]
    return command + ["--target", *targets] if targets else command


def _works(command, tree, log):
    environment = dict(os.environ, CMAKE_GENERATOR=os.environ.get("CMAKE_GENERATOR", "Ninja"))
    with open(log, "a", encoding="utf-8") as out:
        return not subprocess.run(command, cwd=tree, env=environment, stdout=out, stderr=subprocess.STDOUT).returncode


def benchmarks(root, folder, *targets):
    """The folder of this tree's benchmark programs, all of them unless some are named."""
    log = folder / "build.log"
    log.unlink(missing_ok=True)
    if not (_works(CONFIGURE, root, log) and _works(_compile(*targets), root, log)):
        raise Failure(f"the bench preset does not build: see {log}")
    return root / PROGRAMS


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


def _tree_of(root, commit):
    """The files of `commit` in a folder of their own, there only once it is whole."""
    tree = root / "build/compare" / commit[:12]
    if tree.exists():
        return tree
    aside, archive = tree.with_suffix(".part"), tree.with_suffix(".tar")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    if subprocess.run(["git", "archive", "--output", str(archive), commit], cwd=root).returncode:
        raise Failure(f"--compare: git archive cannot write {archive}")
    with tarfile.open(archive) as files:
        files.extractall(aside)
    archive.unlink()
    return aside.rename(tree)


def benchmarks_of(root, commit, folder, wanted):
    """The folder of programs that time the library of `commit`: its tree with the benchmarks of this one, so that both
    are measured alike; and which of the `wanted` programs do not build there."""
    tree, log = _tree_of(root, commit), folder / "build_reference.log"
    log.unlink(missing_ok=True)
    shutil.rmtree(tree / "bench", ignore_errors=True)
    shutil.copytree(root / "bench", tree / "bench", ignore=shutil.ignore_patterns("__pycache__"))
    configured = _works(CONFIGURE, tree, log)
    missing = [program for program in sorted(wanted) if not (configured and _works(_compile(program), tree, log))]
    if len(missing) == len(wanted):
        raise Failure(f"--compare: revision {commit[:12]} builds none of {', '.join(missing)}: see {log}")
    return tree / PROGRAMS, missing


def other_programs(programs, known):
    return sorted(path.name for path in pathlib.Path(programs).glob("*_bench") if path.name not in known)
