#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""check.py CHECK ROOT: one rule about the shape of the tree (see CHECKS); prints how many cases it looked at."""
import os
import re
import sys
from pathlib import Path

# What the headers of each folder may include besides their own folder and version.hpp.
CHAIN = ["core", "kernels", "rules", "nn", "layers", "models"]
SEES = {folder: set(CHAIN[:place]) for place, folder in enumerate(CHAIN)}
SEES["io"] = {"core"}
SEES["models/loaders"] = set(CHAIN) | {"io"}
SEES["training"] = SEES["serving"] = set(CHAIN) | {"io", "models/loaders"}
SEES["dispatch"] = {"core", "kernels", "rules"}
SEES["interop"] = set(SEES) | {"training", "serving"}
MIRRORED = ["kernels", "rules", "nn", "layers", "models", "training", "serving", "io"]
BENCHED = ["kernels", "rules"]  # each header has a benchmark; layers and models are benchmarked as wholes
WITHOUT_BENCH = {"kernels/simd.hpp", "rules/sequence_rule.hpp"}  # the words kernels and rules are written in
HEADER_LINES = 400

CARRIES_SPDX = {".hpp", ".cpp", ".h", ".cmake", ".py", ".sh", ".in", ".md", ".yml", ".dict"}
CARRIES_SPDX_NAMES = {"CMakeLists.txt", ".clang-format", ".clang-tidy", ".gitignore", "run"}
CARRIES_NONE = {".json", ".safetensors", ".svg", ".csv", ".txt", ".png", ".bin"}
CARRIES_NONE_NAMES = {"LICENSE", ".git"}  # the latter a file in a worktree

# Pattern of code, the headers that may hold it, and how the rule is said.
OWNED = [
    (r"\bxsimd\b|\bXSIMD_", r"kernels/simd(/.*)?\.hpp", "only kernels/simd.hpp names xsimd"),
    (r"#\s*include\s*<(unsupported/)?Eigen/", r"core/eigen\.hpp|interop/.*", "only core/eigen.hpp includes Eigen"),
    (r"#\s*include\s*<nlohmann/|\bnlohmann::", r"models/loaders/.*|io/tokenizers?(/.*|\.hpp)",
     "only models/loaders and io/tokenizers use nlohmann-json"),
    (r"#\s*include\s*<(CLI|catch2|benchmark)/", r"(?!)", "the library does not use this"),
    (r"#\s*include\s*<(torch/|mpi\.h|cblas\.h|omp\.h|(oneapi/)?tbb/)", r"interop/.*", "only interop uses another library"),
    (r"\bnamespace\s+ttt\b(?!::)\s*\{", r"core/config\.hpp", "open the namespace with TTT_NAMESPACE_BEGIN"),
]
NOISE = (r"(?<![\w.>])(?:std::|::)?(?:abort|exit|quick_exit|_Exit|_exit|terminate)\s*\(|\bstd::(?:cout|cerr|clog)\b"
         r"|(?<!\w)(?:f?printf|f?puts|putchar)\s*\(")


def code(text):
    """The text without comments; includes and macros stay."""
    return re.sub(r'"(?:\\.|[^"\\\n])*"|//[^\n]*|/\*.*?\*/',
                  lambda match: match[0] if match[0][0] == '"' else " ", text, flags=re.DOTALL)


def headers(root):
    base = root / "include" / "ttt"
    return {path.relative_to(base).as_posix(): path.read_text(encoding="utf-8") for path in sorted(base.rglob("*.hpp"))}


def folder_of(name):
    if name.startswith("models/loaders/"):
        return "models/loaders"
    return name.split("/")[0] if "/" in name else ""


def included(text):
    return re.findall(r'^\s*#\s*include\s*["<]ttt/([^">]+)[">]', code(text), re.MULTILINE)


def check_licence(root):
    count, errors = 0, []
    for directory, folders, files in os.walk(root):
        folders[:] = [f for f in folders if f not in {".git", "build", ".cache", "__pycache__"}]
        for name in files:
            path = Path(directory, name)
            count += 1
            if name in CARRIES_SPDX_NAMES or path.suffix in CARRIES_SPDX:
                with open(path, encoding="utf-8", errors="replace") as file:
                    lines = [file.readline(), file.readline()]
                first_only = path.suffix in {".hpp", ".cpp"}
                if not any("SPDX-License-Identifier: MIT" in line for line in lines[:1 if first_only else 2]):
                    errors.append(f"{path}: begin with 'SPDX-License-Identifier: MIT' in a comment")
            elif name not in CARRIES_NONE_NAMES and path.suffix not in CARRIES_NONE:
                errors.append(f"{path}: tests/structure/check.py does not know whether such a file can carry SPDX")
    return count, errors


def check_includes(root):
    count, errors, everything = 0, [], headers(root)
    for name, text in everything.items():
        folder = folder_of(name)
        if folder and folder not in SEES:
            errors.append(f"{name}: unknown folder '{folder}'")
            continue
        if re.search(r'^\s*#\s*include\s*"(?!ttt/)', code(text), re.MULTILINE):
            errors.append(f'{name}: headers of the library are included as "ttt/..."')
        for target in included(text):
            count += 1
            other = folder_of(target)
            if target not in everything:
                errors.append(f"{name}: includes {target}, which does not exist")
            elif target == "version.hpp":
                continue
            elif folder and other != folder and other not in SEES[folder]:
                errors.append(f"{name}: {folder} must not include {target}")
            elif not folder and other in {"io", "models/loaders", "interop", "dispatch"}:
                errors.append(f"{name}: the umbrella must not include {target}")
    return count, errors + cycles(everything)


def cycles(everything):
    """Headers that include themselves through others.

    Inside one entity (layers/ttt/*) this is how a class and the headers of its bodies each compile alone.
    """
    finished, errors = set(), []

    def visit(name, path):
        if name in path:
            cycle = path[path.index(name):] + [name]
            folders = {member.rsplit("/", 1)[0] for member in cycle}
            if len(folders) > 1 or "/" not in folders.pop():
                errors.append("cycle of includes: " + " -> ".join(cycle))
        elif name not in finished and name in everything:
            for target in included(everything[name]):
                visit(target, path + [name])
            finished.add(name)

    for name in everything:
        visit(name, [])
    return errors


def reached(everything, first):
    """`first` and the headers that it includes, itself or through others."""
    found, waiting = set(), [first]
    while waiting:
        name = waiting.pop()
        if name not in found and name in everything:
            found.add(name)
            waiting += included(everything[name])
    return found


def check_umbrella(root):
    """ttt.hpp reaches all that needs neither files nor another library: files cost as much to parse as all the rest."""
    everything = headers(root)
    left_out = {"io", "models/loaders", "interop", "dispatch"}

    def is_wanted(name):
        whole = name.rsplit("/", 1)[0] + ".hpp"  # data/text_encoding.hpp is a part of data.hpp
        return not left_out & {folder_of(other) for other in reached(everything, whole if whole in everything else name)}

    wanted = [name for name in everything if is_wanted(name)]
    found = reached(everything, "ttt.hpp")
    errors = [f"{name}: not reached from ttt.hpp" for name in wanted if name not in found]
    errors += [f"ttt.hpp: reaches {name}, which is included by name" for name in sorted(found)
               if folder_of(name) in left_out]
    return len(wanted), errors


def check_owners(root):
    count, errors = 0, []
    for name, text in headers(root).items():
        for pattern, owner, rule in OWNED:
            count += 1
            found = re.search(pattern, code(text))
            if found and not re.fullmatch(owner, name):
                errors.append(f"{name}: '{found[0]}': {rule}")
    return count, errors


def entities_of(name):
    """The header without its suffix, then the entities that it is a part of: rules/x/state, rules/x."""
    found = [name[:-len(".hpp")]]
    while found[-1].count("/") > 1:
        found.append(found[-1].rsplit("/", 1)[0])
    return found


def check_mirror(root):
    library = [name for name in headers(root) if name.split("/")[0] in MIRRORED]
    benched = [name for name in library if name.split("/")[0] in BENCHED
               and not {entity + ".hpp" for entity in entities_of(name)} & WITHOUT_BENCH]
    errors = without_mirror(root, library, "tests", "test") + without_mirror(root, benched, "bench", "bench")
    entities = {entity for name in library for entity in entities_of(name)}
    tests = [name for name in sources(root, "tests", "test") if name.split("/")[0] in MIRRORED]
    benches = sources(root, "bench", "bench")
    errors += without_header(tests, entities, "tests", "test")
    # bench/layers/layers_bench.cpp is about the whole folder.
    wholes = {f"{folder}/{folder}" for folder in MIRRORED if any(name.startswith(folder + "/") for name in library)}
    errors += without_header(benches, entities | wholes, "bench", "bench")
    return len(library) + len(benched) + len(tests) + len(benches), errors


def sources(root, tree, kind):
    """tests/kernels/matmul_test.cpp is kernels/matmul here."""
    return sorted(path.relative_to(root / tree).as_posix()[:-len(f"_{kind}.cpp")]
                  for path in (root / tree).rglob(f"*_{kind}.cpp"))


def without_mirror(root, names, tree, kind):
    """Headers that have no source in `tree`.

    The parts of an entity have theirs through it: layers/ttt/forward.hpp is tested by tests/layers/ttt_linear_test.cpp.
    """
    def is_mirrored(name):
        whole, *containing = entities_of(name)
        patterns = [whole] + [f"{entity}{rest}" for entity in containing for rest in ("", "_*")]
        return any(any((root / tree).glob(f"{pattern}_{kind}.cpp")) for pattern in patterns)

    return [f"{name}: has no {kind} {tree}/{name[:-len('.hpp')]}_{kind}.cpp" for name in names if not is_mirrored(name)]


def without_header(names, entities, tree, kind):
    """Sources that are about no header of the library."""
    return [f"{tree}/{name}_{kind}.cpp: begins with the name of no header of include/ttt" for name in names
            if not any(name == entity or name.startswith((entity + "_", entity + "/")) for entity in entities)]


def check_macros(root):
    count, errors = 0, []
    for name, text in headers(root).items():
        for macro in re.findall(r"^\s*#\s*define\s+(\w+)", code(text), re.MULTILINE):
            count += 1
            if not macro.startswith("TTT_"):
                errors.append(f"{name}: macro {macro} does not begin with TTT_")
            elif name not in {"core/config.hpp", "version.hpp"} and not re.search(rf"#\s*undef\s+{macro}\b", text):
                errors.append(f"{name}: macro {macro} belongs into core/config.hpp")
    return count, errors


def check_size(root):
    everything = headers(root)
    errors = [f"{name}: {text.count(chr(10))} lines, at most {HEADER_LINES}" for name, text in everything.items()
              if text.count("\n") > HEADER_LINES]
    errors += [f"{name}: has no #pragma once" for name, text in everything.items() if "#pragma once\n" not in text]
    return len(everything), errors


def check_silence(root):
    everything = headers(root)
    errors = []
    for name, text in everything.items():
        found = re.search(NOISE, code(text))
        if found:
            errors.append(f"{name}: '{found[0]}': the library never ends the process and never prints")
    return len(everything), errors


CHECKS = {
    "licence": check_licence,
    "includes": check_includes,
    "umbrella": check_umbrella,
    "owners": check_owners,
    "mirror": check_mirror,
    "macros": check_macros,
    "size": check_size,
    "silence": check_silence,
}


def main():
    name, root = sys.argv[1], Path(sys.argv[2])
    count, errors = CHECKS[name](root)
    for error in errors:
        print(error, file=sys.stderr)
    print(f"structure/{name}: {count} cases, {len(errors)} broken")
    return 1 if errors or count == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
