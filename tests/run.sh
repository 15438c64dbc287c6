#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs every test: bash tests/run.sh [preset], where preset is dev (default), dev-clang, asan, tsan or aarch64.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset="${1:-dev}"

packages=(g++ cmake ninja-build libeigen3-dev libxsimd-dev catch2 libbenchmark-dev libcli11-dev nlohmann-json3-dev python3
  libtbb-dev libopenblas-dev)
case "$preset" in
  dev | asan | tsan) ;;
  dev-clang) packages+=(clang-16 libomp-16-dev) ;;
  aarch64) packages+=(g++-12-aarch64-linux-gnu qemu-user) ;;
  *) echo "tests/run.sh: unknown preset '$preset' (expected dev, dev-clang, asan, tsan or aarch64)" >&2; exit 2 ;;
esac

source cmake/install_dependencies.sh
install_dependencies tests/run.sh "${packages[@]}"

# Takes effect in a new build folder only; an existing one keeps its generator.
export CMAKE_GENERATOR="${CMAKE_GENERATOR:-Ninja}"
cmake --preset "$preset"
cmake --build --preset "$preset" --parallel "$(nproc)"
ctest --preset "$preset" --parallel "$(nproc)" --output-on-failure
