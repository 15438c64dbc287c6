// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/layers/layer_kinds.hpp"
#include "ttt/layers/layer_options.hpp"

TTT_NAMESPACE_BEGIN

/// A layer by its name and options, without its width, which the model gives: "attention:heads=8:key_value_heads=2".
class LayerDescription {
 public:
  /// The first kind there is, as it is.
  LayerDescription() : LayerDescription(LayerKinds::names.front()) {}
  /// The kind of that name with the options it has unless told otherwise. Throws Error for a name that is none.
  explicit LayerDescription(std::string_view name)
      : name_(name), options_(LayerKinds::with(name, [](auto kind) { return LayerOptions(kind.options()); })) {}
  /// With these options. Throws Error for a name that is none, or of a kind with other options.
  template <class Config>
  LayerDescription(std::string_view name, const Config& config) : LayerDescription(name) {
    if (!find<Config>()) throw_unexpected("layer " + name_, "options of its own kind", "those of another");
    options_ = config;
  }
  /// Reads what text() writes: a name, then options that differ from the usual ones. Throws Error, naming layer and
  /// option.
  static LayerDescription parse(std::string_view text) {
    return parse(text, [](LayerDescription&) {});
  }
  /// The same, `prepare(layer)` setting options that the text goes over.
  template <class Prepare>
  static LayerDescription parse(std::string_view text, Prepare&& prepare) {
    const std::size_t end = std::min(text.size(), text.find(':'));
    LayerDescription layer(text.substr(0, end));
    prepare(layer);
    layer.set_all(text.substr(std::min(text.size(), end + 1)));
    return layer;
  }

  const std::string& name() const { return name_; }
  /// The options, if they are of that type; else null.
  template <class Config>
  const Config* find() const {
    return std::get_if<Config>(&options_);
  }
  template <class Config>
  Config* find() {
    return std::get_if<Config>(&options_);
  }
  /// Calls option(name, value, what it is) with every option.
  template <class Visitor>
  void visit(Visitor&& option) {
    std::visit([&](auto& config) { config.visit(option); }, options_);
  }
  /// Names of the options.
  std::vector<std::string> option_names() const;
  bool has(std::string_view option) const;
  /// Sets an option to what the words say. Throws Error when there is no such option, or it cannot be that.
  void set(std::string_view option, std::string_view words);
  std::string text() const;

  /// The layer. Throws Error for options that make none.
  template <class Scalar>
  AnySequenceLayer<Scalar> make(Index width) const;
  /// See KindOfLayer.
  std::vector<BoundingTensor> bounds(Index width) const {
    return LayerKinds::with(name_, [&]<class Kind>(Kind) {
      auto config = std::get<typename Kind::Config>(options_);
      config.width = width;
      return Kind::bounds(config);
    });
  }
  bool has_temporal_conv() const {
    return LayerKinds::with(name_, [](auto kind) { return kind.temporal_conv; });
  }

  friend bool operator==(const LayerDescription&, const LayerDescription&) = default;

 private:
  /// Sets several, "heads=8:key_value_heads=2".
  void set_all(std::string_view options);

  std::string name_;
  LayerOptions options_;
};

// Not inline: a program that declares it `extern template` compiles no layer where it only makes one by name.
template <class Scalar>
AnySequenceLayer<Scalar> LayerDescription::make(Index width) const {
  return LayerKinds::with(name_, [&]<class Kind>(Kind) {
    auto config = std::get<typename Kind::Config>(options_);
    config.width = width;
    return AnySequenceLayer<Scalar>(typename Kind::template Layer<Scalar>(config));
  });
}

inline std::vector<std::string> LayerDescription::option_names() const {
  std::vector<std::string> names;
  LayerDescription copy = *this;
  copy.visit([&](const char* name, auto&, const char*) { names.emplace_back(name); });
  return names;
}

inline bool LayerDescription::has(std::string_view option) const {
  const auto names = option_names();
  return std::find(names.begin(), names.end(), option) != names.end();
}

inline void LayerDescription::set(std::string_view option, std::string_view words) {
  std::string known;
  bool found = false;
  visit([&](const char* name, auto& value, const char*) {
    known += (known.empty() ? "" : ", ") + std::string(name);
    if (name != option) return;
    found = true;
    if (!option_text::parse(words, value))
      throw_unexpected("layer " + name_ + ", option " + name,
                       option_text::expected<std::remove_reference_t<decltype(value)>>(),
                       "'" + std::string(words) + "'");
  });
  if (!found) throw_unexpected("option of layer " + name_, "one of " + known, "'" + std::string(option) + "'");
}

inline void LayerDescription::set_all(std::string_view options) {
  while (!options.empty()) {
    const std::string_view part = options.substr(0, options.find(':'));
    options.remove_prefix(std::min(options.size(), part.size() + 1));
    const std::size_t sign = part.find('=');
    if (sign == part.npos) throw_unexpected("layer " + name_, "OPTION=VALUE", "'" + std::string(part) + "'");
    set(part.substr(0, sign), part.substr(sign + 1));
  }
}

inline std::string LayerDescription::text() const {
  std::vector<std::string> usual;
  LayerDescription standard{std::string_view(name_)}, copy = *this;
  standard.visit([&](const char*, auto& value, const char*) { usual.push_back(option_text::text(value)); });
  std::string words = name_;
  std::size_t i = 0;
  copy.visit([&](const char* name, auto& value, const char*) {
    if (const std::string word = option_text::text(value); word != usual[i++])
      words += ":" + std::string(name) + "=" + word;
  });
  return words;
}

TTT_NAMESPACE_END
