// SPDX-License-Identifier: MIT
// encode_texts TOKENIZER < texts > results, for compare_with_tokenizers.py: each text is its length and its bytes; each
// result is how many ids there are, the ids, how many with special tokens, those, the length of the decoded text and
// its bytes. Lengths and ids have eight bytes. With --speed FILE: megabytes a second.
#include <chrono>
#include <fstream>
#include <iostream>
#include <iterator>

#include "ttt/io/tokenizer.hpp"

namespace {

using ttt::io::Tokenizer;

void put(std::int64_t value) { std::cout.write(reinterpret_cast<const char*>(&value), sizeof value); }
void put(const std::vector<std::int64_t>& ids) {
  put(static_cast<std::int64_t>(ids.size()));
  for (const std::int64_t id : ids) put(id);
}

void answer(const Tokenizer& tokenizer) {
  for (std::int64_t size = 0; std::cin.read(reinterpret_cast<char*>(&size), sizeof size);) {
    std::string text(static_cast<std::size_t>(size), '\0');
    std::cin.read(text.data(), size);
    const auto ids = tokenizer.encode(text);
    put(ids);
    put(tokenizer.encode(text, ttt::io::SpecialTokens::add));
    const std::string decoded = tokenizer.decode(ids);
    put(static_cast<std::int64_t>(decoded.size()));
    std::cout << decoded;
  }
}

void measure(const Tokenizer& tokenizer, const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  double best = 0;
  for (int repetition = 0; repetition < 5; ++repetition) {
    const auto start = std::chrono::steady_clock::now();
    const auto ids = tokenizer.encode(text);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, ids.empty() ? 0 : static_cast<double>(text.size()) / 1e6 / seconds);
  }
  std::cout << best << "\n";
}

}  // namespace

int main(int count, char** arguments) try {
  const Tokenizer tokenizer = Tokenizer::load(arguments[1]);
  count > 3 ? measure(tokenizer, arguments[3]) : answer(tokenizer);
  return std::cout.flush() ? 0 : 1;
} catch (const std::exception& error) {
  std::cerr << error.what() << "\n";
  return 1;
}
