// SPDX-License-Identifier: MIT
// Runs a target without libFuzzer: replay FOLDER… gives it every file of the folders, each also one byte longer, cut
// off at every length and with every byte changed (evenly spread ones where the file is long). Arguments with '-' are
// libFuzzer's.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "fuzz.hpp"

// Targets with a mutator of their own refer to it; here nothing calls them.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t*, std::size_t size, std::size_t) { return size; }

namespace {

std::size_t runs = 0;

void run(const std::string& input) {
  // A copy of exactly this size: what is read past it is found.
  const std::vector<std::uint8_t> copy(input.begin(), input.end());
  LLVMFuzzerTestOneInput(copy.data(), copy.size());
  ++runs;
}

void run_with_changes(const std::string& input) {
  run(input);
  run(input + '\0');
  const std::size_t step = 1 + input.size() / 500;
  for (std::size_t position = 0; position < input.size(); position += step) {
    run(input.substr(0, position));
    for (const int change : {0x01, 0x80, 0xFF}) {
      std::string changed = input;
      changed[position] = static_cast<char>(changed[position] ^ change);
      run(changed);
    }
  }
}

}  // namespace

int main(int count, char** arguments) {
  std::size_t files = 0;
  for (const std::string_view argument : std::span(arguments, static_cast<std::size_t>(count)).subspan(1)) {
    if (argument.starts_with('-')) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(argument)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      run_with_changes({std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()});
      ++files;
    }
  }
  std::printf("%zu files, %zu inputs, %zu accepted\n", files, runs, ttt_fuzz::accepted);
  return files > 0 && ttt_fuzz::accepted > 0 ? 0 : 1;
}
