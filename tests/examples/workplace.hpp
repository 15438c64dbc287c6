// SPDX-License-Identifier: MIT
/// @file
/// What tests of ttt-lm train on and look into: a text, a training that takes no time, a file of token ids.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "examples/ttt_lm.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace ttt::testing {

/// Text in which there is something to learn.
inline std::string sample_text(std::size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i)
    text += "line " + std::to_string(i * i % 97) + " of the text, and so on\n";
  return text.substr(0, size);
}

/// A folder with a text, and arguments of a training so small that it takes no time.
struct Workplace {
  TemporaryFolder folder;
  std::string text = folder.write("text.txt", sample_text(4000));

  Arguments tiny(const std::string& out) const {
    return {"train", "--data",    text, "--width", "16",        "--depth",      "1", "--heads",
            "2",     "--context", "24", "--batch", "2",         "--mini-batch", "4", "--eval-windows",
            "2",     "--threads", "1",  "--out",   folder / out};
  }
  std::string model(const std::string& out = "model") const {
    REQUIRE(run(tiny(out) + Arguments{"--steps", "3", "--quiet"}).exit_code == 0);
    return folder / out;
  }
};

inline void write_ids(const std::string& path, std::vector<std::int64_t> shape, const std::vector<std::int64_t>& ids) {
  const std::array sources{
      io::tensor_source<std::int64_t>("input_ids", std::move(shape), std::span<const std::int64_t>(ids))};
  io::write_safetensors(path, sources);
}

}  // namespace ttt::testing
