// SPDX-License-Identifier: MIT
#include "layer_options.hpp"

#include <algorithm>
#include <cctype>

#include "usage.hpp"

namespace ttt_lm {

namespace {

/// The one list of options of the command that are options of layers: visitor(here, there, value); 0 is not given.
template <class Visitor>
void visit(const TrainingOptions& options, Visitor visitor) {
  visitor("--heads", "heads", options.heads);
  visitor("--kv-heads", "key_value_heads", options.key_value_heads);
  visitor("--mini-batch", "mini_batch", options.mini_batch);
  visitor("--window", "window", options.window);
  visitor("--inner-rate", "base_learning_rate", options.inner_rate);
}

/// "attention, sliding-window": the kinds with that option.
std::string kinds_with(const std::string& option) {
  std::string names;
  for (const auto name : ttt::LayerKinds::names)
    if (ttt::LayerDescription(name).has(option)) names += (names.empty() ? "" : ", ") + std::string(name);
  return names;
}

}  // namespace

ttt::LayerDescription layer_of(const TrainingOptions& options, const std::string& text) {
  return ttt::LayerDescription::parse(text, [&](ttt::LayerDescription& layer) {
    visit(options, [&](const char*, const char* option, const auto& value) {
      if (value != 0 && layer.has(option)) layer.set(option, ttt::option_text::text(value));
    });
  });
}

std::vector<std::string> side_by_side(const std::string& text) {
  std::vector<std::string> layers(1);
  for (std::size_t i = 0; i < text.size(); ++i) {
    // Numbers may have a sign, too: 1e+06.
    const bool separates =
        text[i] == '+' && (i + 1 == text.size() || !std::isdigit(static_cast<unsigned char>(text[i + 1])));
    if (separates)
      layers.emplace_back();
    else
      layers.back() += text[i];
  }
  return layers;
}

std::string layer_problem(const std::string& text) try {
  for (const std::string& layer : side_by_side(text)) ttt::LayerDescription::parse(layer);
  return {};
} catch (const ttt::Error& error) {
  return error.what();
}

void check_layer_options(const std::vector<std::string>& layers, const std::set<std::string>& given) {
  visit({}, [&](const char* here, const char* option, const auto&) {
    const auto has_option = [&](const std::string& text) {
      const auto all = side_by_side(text);
      return std::any_of(all.begin(), all.end(),
                         [&](const std::string& layer) { return ttt::LayerDescription::parse(layer).has(option); });
    };
    if (given.contains(here) && std::none_of(layers.begin(), layers.end(), has_option))
      throw UsageError(std::string(here) + ": means nothing to layer " + layers.front() + ", only to " +
                       kinds_with(option));
  });
}

std::string layer_list() {
  std::string text =
      "Layers, and their options with what they are if not given (NAME:OPTION=VALUE:...); NAME+NAME are side by "
      "side:\n";
  for (const auto name : ttt::LayerKinds::names) {
    text += "  " + std::string(name) + "\n      " +
            std::string(ttt::LayerKinds::with(name, [](auto kind) { return kind.summary; })) + "\n";
    ttt::LayerDescription layer(name);
    layer.visit([&](const std::string& option, const auto& value, const std::string& what) {
      const std::string usual = option + "=" + ttt::option_text::text(value);
      text += "      " + usual + std::string(usual.size() < 27 ? 28 - usual.size() : 1, ' ') + what + "\n";
    });
  }
  return text;
}

}  // namespace ttt_lm
