#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Builds and runs the benchmarks and prints the table of layers against attention: bash bench/run.sh --help.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

source cmake/install_dependencies.sh
install_dependencies bench/run.sh g++ cmake ninja-build libeigen3-dev libxsimd-dev libbenchmark-dev libopenblas0-pthread \
  python3
exec python3 -B bench/run.py "$@"
