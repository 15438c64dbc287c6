#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every rule of check.py is seen to pass a sound tree and to catch each way of breaking it."""
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).parent))
from check import CHECKS  # noqa: E402

HEAD = "// SPDX-License-Identifier: MIT\n#pragma once\n"
SOUND = {
    "LICENSE": "MIT License\n",
    "include/ttt/version.hpp": HEAD + "#define TTT_VERSION_MAJOR 0\n",
    "include/ttt/ttt.hpp": HEAD + '#include "ttt/kernels/gate.hpp"\n#include "ttt/training/clip.hpp"\n'
                            '#include "ttt/version.hpp"\n',
    "include/ttt/core/config.hpp": HEAD + "#define TTT_ABI v0\nnamespace ttt {\n}\n",
    "include/ttt/core/eigen.hpp": HEAD + '#include <Eigen/Core>\n#include "ttt/core/config.hpp"\n',
    "include/ttt/kernels/simd.hpp": HEAD + '#include <xsimd/xsimd.hpp>\n#include "ttt/core/eigen.hpp"\n',
    "include/ttt/rules/decay/state.hpp": HEAD + '#include "ttt/kernels/simd.hpp"\n// xsimd in a comment, exit() too\n',
    "include/ttt/layers/fast/fast_layer.hpp": HEAD + '#include "ttt/layers/fast/body.hpp"\n',
    "include/ttt/layers/fast/body.hpp": HEAD + '#include "ttt/layers/fast/fast_layer.hpp"\n',
    "include/ttt/training/clip.hpp": HEAD + '#include "ttt/rules/decay/state.hpp"\n'
                                     '#include "ttt/layers/fast/fast_layer.hpp"\n',
    "include/ttt/training/trainer.hpp": HEAD + '#include "ttt/training/clip.hpp"\n#include "ttt/io/bytes.hpp"\n',
    "include/ttt/io/bytes.hpp": HEAD + '#include "ttt/core/config.hpp"\n',
    "include/ttt/models/loaders/family.hpp": HEAD + "#include <nlohmann/json.hpp>\n",
    "tests/kernels/simd_test.cpp": HEAD,
    "tests/rules/decay_test.cpp": HEAD,
    "tests/layers/fast_linear_test.cpp": HEAD,
    "tests/training/clip_test.cpp": HEAD,
    "tests/training/trainer_test.cpp": HEAD,
    "tests/io/bytes_test.cpp": HEAD,
    "tests/models/loaders_test.cpp": HEAD,
    "include/ttt/kernels/gate.hpp": HEAD + '#include "ttt/kernels/gate/rows.hpp"\n',
    "include/ttt/kernels/gate/rows.hpp": HEAD,
    "tests/kernels/gate_test.cpp": HEAD,
    "bench/kernels/gate_bench.cpp": HEAD,
    "bench/rules/decay_bench.cpp": HEAD,
    "bench/layers/layers_bench.cpp": HEAD,
}
CORE, RULE = "include/ttt/core/config.hpp", "include/ttt/rules/decay/state.hpp"

# Check, file, its new content (None removes it), a text of the message.
BROKEN = [
    ("licence", "tests/io/bytes_test.cpp", "int main() {}\n", "SPDX"),
    ("licence", "tests/io/bytes_test.cpp", "\n" + HEAD, "SPDX"),
    ("licence", "CMakeLists.txt", "project(x)\n", "SPDX"),
    ("licence", "notes.unknown", "text\n", "does not know"),
    ("includes", CORE, HEAD + '#include "ttt/kernels/simd.hpp"\n', "core must not include"),
    ("includes", RULE, HEAD + '#include "ttt/io/bytes.hpp"\n', "rules must not include"),
    ("includes", "include/ttt/io/bytes.hpp", HEAD + '#include "ttt/kernels/simd.hpp"\n', "io must not include"),
    ("includes", "include/ttt/models/block.hpp", HEAD + '#include "ttt/models/loaders/family.hpp"\n', "models must not"),
    ("includes", RULE, HEAD + '#include "ttt/rules/nothing.hpp"\n', "does not exist"),
    ("includes", RULE, HEAD + '#include "../simd.hpp"\n', 'as "ttt/..."'),
    ("includes", CORE, HEAD + '#include "ttt/core/eigen.hpp"\n', "cycle"),
    ("includes", "include/ttt/other/thing.hpp", HEAD, "unknown folder"),
    ("includes", "include/ttt/ttt.hpp", HEAD + '#include "ttt/io/bytes.hpp"\n', "umbrella"),
    ("umbrella", "include/ttt/kernels/new.hpp", HEAD, "not reached"),
    ("umbrella", "include/ttt/ttt.hpp", None, "not reached"),
    ("umbrella", "include/ttt/ttt.hpp", HEAD + '#include "ttt/training/trainer.hpp"\n', "reaches io/bytes.hpp"),
    ("owners", RULE, HEAD + "using xsimd::batch;\n", "names xsimd"),
    ("owners", RULE, HEAD + "#include <Eigen/Dense>\n", "includes Eigen"),
    ("owners", "include/ttt/io/bytes.hpp", HEAD + "#include <nlohmann/json.hpp>\n", "nlohmann"),
    ("owners", "include/ttt/io/bytes.hpp", HEAD + "#include <CLI/CLI.hpp>\n", "does not use"),
    ("owners", RULE, HEAD + "#include <torch/torch.h>\n", "interop"),
    ("owners", RULE, HEAD + "namespace ttt {\n}\n", "TTT_NAMESPACE_BEGIN"),
    ("mirror", "tests/kernels/simd_test.cpp", None, "has no test"),
    ("mirror", "tests/rules/decay_test.cpp", None, "has no test"),
    ("mirror", "tests/layers/fast_linear_test.cpp", None, "has no test"),
    ("mirror", "tests/kernels/other_test.cpp", HEAD, "name of no header"),
    ("mirror", "bench/kernels/gate_bench.cpp", None, "kernels/gate.hpp: has no bench"),
    ("mirror", "bench/kernels/gate_bench.cpp", None, "kernels/gate/rows.hpp: has no bench"),
    ("mirror", "bench/rules/decay_bench.cpp", None, "has no bench"),
    ("mirror", "bench/kernels/other_bench.cpp", HEAD, "bench/kernels/other_bench.cpp: begins with the name of no"),
    ("mirror", "bench/layers/slow_bench.cpp", HEAD, "name of no header"),
    ("mirror", "bench/other_bench.cpp", HEAD, "name of no header"),
    ("macros", RULE, HEAD + "#define DECAY 1\n", "does not begin"),
    ("macros", RULE, HEAD + "#  define TTT_DECAY 1\n", "belongs into"),
    ("size", RULE, HEAD + "\n" * 400, "402 lines"),
    ("size", RULE, "// SPDX-License-Identifier: MIT\n", "pragma once"),
    ("silence", RULE, HEAD + "inline void stop() { std::abort(); }\n", "never"),
    ("silence", RULE, HEAD + "inline void stop() { exit (1); }\n", "never"),
    ("silence", RULE, HEAD + 'inline void say() { std::cerr << "x"; }\n', "never"),
    ("silence", RULE, HEAD + 'inline void say() { std::printf("x"); }\n', "never"),
]


def run(name, files):
    with tempfile.TemporaryDirectory() as directory:
        for path, content in files.items():
            if content is not None:
                target = Path(directory, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_text(content, encoding="utf-8")
        return CHECKS[name](Path(directory))


def main():
    failures = []
    for name in CHECKS:
        count, errors = run(name, SOUND)
        if errors or count == 0:
            failures.append(f"{name}: sound tree, {count} cases: {errors}")
    for name, path, content, text in BROKEN:
        errors = run(name, {**SOUND, path: content})[1]
        if not any(text in error for error in errors):
            failures.append(f"{name}: {path} = {content!r} was not caught as '{text}': {errors}")
    unbroken = set(CHECKS) - {name for name, *_ in BROKEN}
    failures += [f"{name}: never seen failing" for name in unbroken]
    print("\n".join(failures + [f"structure/check: {len(CHECKS) + len(BROKEN)} cases, {len(failures)} failed"]))
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
