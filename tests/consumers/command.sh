# SPDX-License-Identifier: MIT
# command.sh COMPILER FOLDER, run in the root of the project: a first program, compiled by one command, and run.
cp examples/01_first_layer.cpp "$2/first.cpp"
"$1" -std=c++20 -O3 -march=native -I include -I /usr/include/eigen3 "$2/first.cpp" -o "$2/first"
"$2/first"
