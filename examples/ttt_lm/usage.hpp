// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

namespace ttt_lm {

/// The command line is wrong by itself, whatever is in the files that it names; the exit code is that of wrong usage.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws UsageError("<option>: expected <expected>, found <found>").
[[noreturn]] inline void throw_usage(const std::string& option, const std::string& expected, const std::string& found) {
  throw UsageError(option + ": expected " + expected + ", found " + found);
}

/// Throws UsageError when an option was given that means nothing to any of these layers.
inline void check_layer_options(const std::vector<std::string>& layers, const std::set<std::string>& given) {
  const auto check = [&](const char* option, const char* meant_for, auto has_meaning) {
    if (given.contains(option) && std::none_of(layers.begin(), layers.end(), has_meaning))
      throw UsageError(std::string(option) + ": means nothing to layer " + layers.front() + ", only to " + meant_for);
  };
  const auto is_ttt = [](const std::string& layer) { return layer.starts_with("ttt-"); };
  check("--mini-batch", "ttt-linear and ttt-mlp", is_ttt);
  check("--inner-rate", "ttt-linear and ttt-mlp", is_ttt);
  check("--kv-heads", "attention and sliding-window", [&](const std::string& layer) { return !is_ttt(layer); });
  check("--window", "sliding-window", [](const std::string& layer) { return layer == "sliding-window"; });
}

}  // namespace ttt_lm
