#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains a language model with TTT-Linear and the same with attention, for about a minute each, on the headers of Eigen
# and xsimd, and shows what they learned: bash examples/run.sh [minutes of each training].
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
minutes="${1:-0.8}"
out=build/first_run

source cmake/install_dependencies.sh
install_dependencies examples/run.sh g++ cmake ninja-build libeigen3-dev libxsimd-dev libcli11-dev nlohmann-json3-dev

# Takes effect in a new build folder only; an existing one keeps its generator.
export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}"
cmake --preset release
cmake --build --preset release --parallel "$(nproc)" --target ttt-lm
program=build/release/bin/ttt-lm

# Small enough that a minute shows something, wide enough that the layers differ.
"$program" compare --layers ttt-linear,attention --width 96 --depth 3 --heads 3 --batch 8 --minutes "$minutes" \
  --final-windows 512 --out "$out" --force

for model in ttt-linear-mamba attention-transformer attention-mamba; do
  echo
  echo "--- $model continues 'template <' ---"
  "$program" generate --model "$out/$model" --prompt "template <" --tokens 240 --temperature 0.7 --seed 1 --quiet
  echo
done
echo
echo "The curves are in $PWD/$out/compare.svg, the models in $PWD/$out/."
