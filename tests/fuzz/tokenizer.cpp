// SPDX-License-Identifier: MIT
// A tokenizer.json: what is accepted encodes any text to ids that it has, gives bytes for every id, and, byte by byte,
// the text back.
#include "ttt/io/tokenizer.hpp"

#include "fuzz.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    using ttt::io::SpecialTokens, ttt::io::Tokenizer;
    const std::string_view input(reinterpret_cast<const char*>(data), size);
    const Tokenizer tokenizer = Tokenizer::from_json(input, "input");
    for (std::int64_t id = -1; id <= tokenizer.vocabulary(); ++id) ttt_fuzz::touch(tokenizer.token(id));
    for (const std::string_view text : {std::string_view("A tale, it's 12345 times\n\n  told: \xC3\xA9\xE2\x96\x81\xFF"),
                                        input.substr(0, 300)}) {
      const std::vector<std::int64_t> ids = tokenizer.encode(text, SpecialTokens::add);
      for (const std::int64_t id : ids) ttt_fuzz::require(id >= 0 && id < tokenizer.vocabulary());
      ttt_fuzz::touch(tokenizer.decode(ids));
      ttt_fuzz::touch(tokenizer.decode(tokenizer.encode(text), SpecialTokens::skip));
    }
  });
}
