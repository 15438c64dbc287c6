// SPDX-License-Identifier: MIT
/// @file
/// The rotary embedding in a config.json: rope_theta beside rope_scaling, or both in rope_parameters, as transformers 5
/// writes them.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <string>
#include <string_view>

#include "ttt/kernels/rotary/scaling.hpp"
#include "ttt/models/loaders/config_json.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders::detail {

using Scaling = kernels::RotaryScaling;

/// rope_type of each kind of scaling.
struct RopeType {
  std::string_view name;
  Scaling::Kind kind;
};
inline constexpr std::array<RopeType, 5> rope_types{
    RopeType{"default", Scaling::Kind::none}, RopeType{"linear", Scaling::Kind::linear},
    RopeType{"llama3", Scaling::Kind::llama3}, RopeType{"yarn", Scaling::Kind::yarn},
    RopeType{"longrope", Scaling::Kind::longrope}};

inline Scaling::Kind read_rope_type(const ConfigJson& json) {
  const std::string key = json.has("rope_type") || !json.has("type") ? "rope_type" : "type";
  const std::string type = json.text_or(key, "default");
  if (json.text_or("type", type) != type) json.fail("type", "the rope_type beside it");
  std::string known;
  for (const RopeType& each : rope_types) {
    if (each.name == type) return each.kind;
    known += (known.empty() ? "one of " : ", ") + std::string(each.name);
  }
  json.fail(key, known);
}

/// Throws for a key of a scaling that nothing would be done about.
inline void check_rope_keys(const ConfigJson& json, Scaling::Kind kind) {
  using Kind = Scaling::Kind;
  const auto allowed = [&](const std::string& key) {
    const auto one_of = [&](std::initializer_list<std::string_view> keys) {
      return std::find(keys.begin(), keys.end(), key) != keys.end();
    };
    if (one_of({"rope_type", "type", "rope_theta", "partial_rotary_factor"})) return true;
    if (one_of({"mrope_section", "mrope_interleaved"})) return true;  // of pictures: in text all sections are alike
    if (kind == Kind::longrope)
      return one_of({"short_factor", "long_factor", "original_max_position_embeddings", "attention_factor"});
    if (kind != Kind::none && key == "factor") return true;
    if (kind == Kind::llama3)
      return one_of({"low_freq_factor", "high_freq_factor", "original_max_position_embeddings"});
    return kind == Kind::yarn && one_of({"original_max_position_embeddings", "attention_factor", "beta_fast",
                                         "beta_slow", "mscale", "mscale_all_dim", "truncate"});
  };
  for (const auto& [key, value] : json.json().items())
    if (!value.is_null() && !allowed(key)) json.fail(key, "no such key with this rope_type");
}

/// `whole` is the configuration around it.
inline Scaling read_yarn(const ConfigJson& json, const ConfigJson& whole) {
  const std::string length = "original_max_position_embeddings";
  Scaling scaling;
  scaling.original_positions = json.has(length) ? json.whole(length) : whole.whole("max_position_embeddings");
  scaling.fast_turns = json.positive_or("beta_fast", 32);
  scaling.slow_turns = json.positive_or("beta_slow", 1);
  scaling.whole_pairs = json.flag_or("truncate", true);
  const double factor = json.positive("factor");
  scaling.magnitude = Scaling::yarn_magnitude(factor);
  if (json.has("mscale") && json.has("mscale_all_dim")) {
    scaling.magnitude = Scaling::yarn_magnitude(factor, json.positive("mscale")) /
                        Scaling::yarn_magnitude(factor, json.positive("mscale_all_dim"));
    if (!is_finite(scaling.magnitude)) json.fail("mscale", "a number that makes a finite magnitude");
  }
  scaling.magnitude = json.positive_or("attention_factor", scaling.magnitude);
  return scaling;
}

inline Scaling read_llama3(const ConfigJson& json) {
  Scaling scaling;
  scaling.original_positions = json.whole("original_max_position_embeddings");
  scaling.slow_turns = json.positive("low_freq_factor");
  scaling.fast_turns = json.positive("high_freq_factor");
  return scaling;
}

/// The list up to the original length, which stands beside the object or in it.
inline Scaling read_longrope(const ConfigJson& json, const ConfigJson& whole) {
  const std::string length = "original_max_position_embeddings";
  Scaling scaling;
  scaling.kind = Scaling::Kind::longrope;
  scaling.original_positions = (json.has(length) ? json : whole).whole(length, 2);
  scaling.divisors = json.numbers("short_factor");
  const auto positions = static_cast<double>(scaling.original_positions);
  const double factor = static_cast<double>(whole.whole("max_position_embeddings")) / positions;
  const double magnitude = factor <= 1 ? 1 : std::sqrt(1 + std::log(factor) / std::log(positions));
  scaling.magnitude = json.positive_or("attention_factor", magnitude);
  return scaling;
}

inline Scaling read_scaling(const ConfigJson& json, const ConfigJson& whole) {
  const Scaling::Kind kind = read_rope_type(json);
  check_rope_keys(json, kind);
  Scaling scaling;
  if (kind == Scaling::Kind::llama3) scaling = read_llama3(json);
  if (kind == Scaling::Kind::yarn) scaling = read_yarn(json, whole);
  if (kind == Scaling::Kind::longrope) return read_longrope(json, whole);
  if (kind != Scaling::Kind::none) scaling.factor = json.positive("factor");
  scaling.kind = kind;
  return scaling;
}

struct Rotary {
  double theta;
  Scaling scaling = {};
  double part = 1;  ///< of a head that is turned
};

/// The keys of rope_scaling or rope_parameters; `whole` is the configuration around them.
inline Rotary read_rotary_object(const ConfigJson& keys, const ConfigJson& whole, double theta) {
  return {keys.positive_or("rope_theta", theta), read_scaling(keys, whole),
          keys.positive_or("partial_rotary_factor", 1)};
}

/// `theta` is what a missing rope_theta means.
inline Rotary read_partial_rotary(const ConfigJson& json, double theta) {
  Rotary rotary{json.positive_or("rope_theta", theta), {}, json.positive_or("partial_rotary_factor", 1)};
  const bool older = json.has("rope_scaling"), newer = json.has("rope_parameters");
  if (older && newer) json.fail("rope_scaling", "null beside rope_parameters");
  if (!older && !newer) return rotary;
  const ConfigJson keys = json.object(older ? "rope_scaling" : "rope_parameters");
  const Rotary inner = read_rotary_object(keys, json, rotary.theta);
  if (json.has("rope_theta") && inner.theta != rotary.theta) keys.fail("rope_theta", "the rope_theta beside it");
  if (keys.has("partial_rotary_factor")) rotary.part = inner.part;
  return {inner.theta, inner.scaling, rotary.part};
}

/// The same for whole heads.
inline Rotary read_rotary(const ConfigJson& json, double theta) {
  const Rotary rotary = read_partial_rotary(json, theta);
  if (rotary.part == 1) return rotary;
  const bool inside = json.positive_or("partial_rotary_factor", 1) == 1;
  const ConfigJson keys = inside ? json.object(json.has("rope_scaling") ? "rope_scaling" : "rope_parameters") : json;
  keys.fail("partial_rotary_factor", "1, as the rotary embedding turns whole heads");
}

/// rope_theta and rope_scaling, which every version reads.
inline void write_rotary(double theta, const Scaling& scaling, nlohmann::json& json) {
  json["rope_theta"] = theta;
  json["rope_scaling"] = nullptr;
  if (scaling.kind == Scaling::Kind::none) return;
  nlohmann::json keys{{"rope_type", rope_types[static_cast<std::size_t>(scaling.kind)].name},
                      {"factor", scaling.factor}};
  if (scaling.has_turns()) keys["original_max_position_embeddings"] = scaling.original_positions;
  if (scaling.kind == Scaling::Kind::llama3) {
    keys["low_freq_factor"] = scaling.slow_turns;
    keys["high_freq_factor"] = scaling.fast_turns;
  }
  if (scaling.kind == Scaling::Kind::yarn) {
    keys["beta_fast"] = scaling.fast_turns;
    keys["beta_slow"] = scaling.slow_turns;
    keys["attention_factor"] = scaling.magnitude;
    if (!scaling.whole_pairs) keys["truncate"] = false;
  }
  json["rope_scaling"] = std::move(keys);
}

}  // namespace loaders::detail

TTT_NAMESPACE_END
