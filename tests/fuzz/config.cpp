// SPDX-License-Identifier: MIT
// A config.json: what is accepted can be written, and read again as the same model.
#include "fuzz.hpp"
#include "ttt/models/loaders/families.hpp"

namespace {

ttt::ModelConfig read(std::string_view text) {
  const ttt::loaders::ConfigJson json(text, "config.json");
  return ttt::loaders::family_of(json).read(json);
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    const ttt::ModelConfig config = read({reinterpret_cast<const char*>(data), size});
    const std::string text = ttt::loaders::config_text(config, ttt::loaders::family_of(config), "float32");
    ttt_fuzz::touch(text);
    ttt::ModelConfig again;
    ttt_fuzz::accept_or_refuse([&] { again = read(text); });
    ttt_fuzz::require(again == config);
  });
}
