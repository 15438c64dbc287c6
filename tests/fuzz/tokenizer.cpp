// SPDX-License-Identifier: MIT
// A tokenizer.json: what is accepted encodes any text to ids that it has, each of which stands for a part of the text,
// all of them for all of it, and gives bytes for every id.
#include "ttt/io/tokenizer.hpp"

#include <algorithm>

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    using ttt::io::SpecialTokens, ttt::io::Tokenizer;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Tokenizer tokenizer = Tokenizer::from_json(input, "input");
    for (std::int64_t id = -1; id <= tokenizer.vocabulary(); ++id) ttt_fuzz::touch(tokenizer.token(id));
    for (const std::string_view text :
         {std::string_view("A tale, it's 12345 times\n\n  told: \xC3\xA9\xE2\x96\x81\xFF"), input.substr(0, 300)}) {
      const auto [ids, ends] = tokenizer.encode_with_ends(text, SpecialTokens::add);
      ttt_fuzz::require(ids.size() == ends.size() && std::is_sorted(ends.begin(), ends.end()));
      ttt_fuzz::require(ids.empty() || ends.back() == static_cast<std::int64_t>(text.size()));
      for (const std::int64_t id : ids) ttt_fuzz::require(id >= 0 && id < tokenizer.vocabulary());
      ttt_fuzz::touch(tokenizer.decode(ids));
      ttt_fuzz::touch(tokenizer.decode(tokenizer.encode(text), SpecialTokens::skip));
    }
  });
}
