// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdint>
#include <filesystem>
#include <limits>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/io/file_descriptor.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN

namespace loaders {

/// Limits of a config.json, far above any real one.
inline constexpr std::size_t maximum_config_size = 1'000'000;
inline constexpr int maximum_config_depth = 64;

namespace detail {

/// The length of a number at the beginning of `text` that Python writes although JSON has none of them; else 0.
inline std::size_t python_number(std::string_view text) {
  for (const std::string_view number : {"-Infinity", "Infinity", "NaN"})
    if (text.starts_with(number)) return number.size();
  return 0;
}

/// `text` with NaN and infinities replaced by null, and its depth checked: no parser has to go deeper afterwards.
inline std::string plain_json(std::string_view text, const std::string& file) {
  std::string result;
  int depth = 0;
  bool quoted = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char byte = text[i];
    if (const std::size_t length = quoted ? 0 : python_number(text.substr(i)); length > 0) {
      result += "null";
      i += length - 1;
      continue;
    }
    result += byte;
    if (byte == '"') quoted = !quoted;
    if (quoted && byte == '\\' && i + 1 < text.size()) result += text[++i];
    if (!quoted) depth += (byte == '{' || byte == '[') - (byte == '}' || byte == ']');
    if (depth > maximum_config_depth)
      throw_unexpected(file, "at most " + std::to_string(maximum_config_depth) + " levels of JSON", "more");
  }
  return result;
}

/// Parses; of a key that is there twice other programs take one or the other, so it is refused.
inline nlohmann::json parse_once(const std::string& text, const std::string& file) {
  std::vector<std::set<std::string>> keys;
  return nlohmann::json::parse(text, [&](int, nlohmann::json::parse_event_t event, nlohmann::json& value) {
    using Event = nlohmann::json::parse_event_t;
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key && !keys.back().insert(value.get<std::string>()).second)
      throw_unexpected(file, "each key once", "'" + io::printable(value.get<std::string>()) + "' twice");
    return true;
  });
}

}  // namespace detail

/// The keys of a config.json, read with the type and the range they must have. A missing key and a null one are the
/// same, as in the Python classes. Every Error is one line: file, key, what was expected, what was found.
class ConfigJson {
 public:
  /// `file` is what messages call it. Throws Error unless the text is a JSON object within the limits.
  ConfigJson(std::string_view text, std::string file) : file_(std::move(file)) {
    if (text.size() > maximum_config_size)
      throw_unexpected(file_, "at most " + std::to_string(maximum_config_size) + " bytes", std::to_string(text.size()));
    try {
      json_ = detail::parse_once(detail::plain_json(text, file_), file_);
    } catch (const nlohmann::json::parse_error& error) {
      throw_unexpected(file_, "JSON", "a syntax error at byte " + std::to_string(error.byte));
    } catch (const nlohmann::json::exception&) {
      throw_unexpected(file_, "JSON", "a number out of range");
    }
    if (!json_.is_object()) throw_unexpected(file_, "a JSON object", json_.type_name());
  }

  const std::string& file() const { return file_; }
  /// Everything, for what is kept without being understood.
  const nlohmann::json& json() const { return json_; }
  /// Whether the key is there, null or not.
  bool contains(const std::string& key) const { return json_.contains(key); }
  bool has(const std::string& key) const { return json_.contains(key) && !json_[key].is_null(); }

  /// A whole number of at least `least` and below 2³¹.
  Index whole(const std::string& key, Index least = 1) const {
    constexpr Index most = std::numeric_limits<std::int32_t>::max();
    const auto refuse = [&] {
      fail(key, "a whole number from " + std::to_string(least) + " to " + std::to_string(most));
    };
    if (!has(key) || !json_[key].is_number_integer()) refuse();
    const nlohmann::json& value = json_[key];
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(most)) refuse();
    const auto number = value.get<std::int64_t>();
    if (number < least || number > most) refuse();
    return static_cast<Index>(number);
  }
  Index whole_or(const std::string& key, Index otherwise, Index least = 1) const {
    return has(key) ? whole(key, least) : otherwise;
  }

  /// A finite number above 0.
  double positive(const std::string& key) const {
    const double number = has(key) && json_[key].is_number() ? json_[key].get<double>() : 0;
    if (!(number > 0 && number <= std::numeric_limits<double>::max())) fail(key, "a number above 0");
    return number;
  }
  double positive_or(const std::string& key, double otherwise) const { return has(key) ? positive(key) : otherwise; }
  /// A finite number.
  double number(const std::string& key) const {
    if (!has(key) || !json_[key].is_number()) fail(key, "a number");
    return json_[key].get<double>();
  }
  bool flag_or(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!json_[key].is_boolean()) fail(key, "true or false");
    return json_[key].get<bool>();
  }
  std::string text(const std::string& key) const {
    if (!has(key) || !json_[key].is_string()) fail(key, "a string");
    return json_[key].get<std::string>();
  }
  std::string text_or(const std::string& key, const std::string& otherwise) const {
    return has(key) ? text(key) : otherwise;
  }
  /// The list of `count` entries under `key`.
  const nlohmann::json& list(const std::string& key, Index count) const {
    if (!has(key) || !json_[key].is_array() || static_cast<Index>(json_[key].size()) != count)
      fail(key, "a list of " + std::to_string(count) + " entries");
    return json_[key];
  }
  /// The finite numbers in the list under `key`.
  std::vector<double> numbers(const std::string& key) const {
    std::vector<double> result;
    if (!has(key) || !json_[key].is_array()) fail(key, "a list of numbers");
    for (const nlohmann::json& entry : json_[key]) {
      if (!entry.is_number()) fail(key, "a list of numbers");
      result.push_back(entry.get<double>());
    }
    return result;
  }
  /// The objects in the list under `key`, their own keys named "key.0.…" in messages.
  std::vector<ConfigJson> objects(const std::string& key) const {
    if (!has(key) || !json_[key].is_array() || json_[key].empty()) fail(key, "a list of objects");
    std::vector<ConfigJson> result;
    for (const nlohmann::json& entry : json_[key]) {
      const std::string name = key + "." + std::to_string(result.size());
      if (!entry.is_object()) fail(name, "an object", io::printable(shown(entry)));
      result.push_back(ConfigJson(entry, file_, prefix_ + name + "."));
    }
    return result;
  }
  /// The object under `key`, its own keys named "key.…" in messages.
  ConfigJson object(const std::string& key) const {
    if (!has(key) || !json_[key].is_object()) fail(key, "an object");
    return ConfigJson(json_[key], file_, prefix_ + key + ".");
  }

  /// Throws Error(file, key: expected, found the value of the key).
  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    fail(key, expected, json_.contains(key) ? io::printable(shown(json_[key])) : "none");
  }
  [[noreturn]] void fail(const std::string& key, const std::string& expected, const std::string& found) const {
    throw_unexpected(file_ + ", key '" + prefix_ + key + "'", expected, found);
  }

 private:
  ConfigJson(nlohmann::json json, std::string file, std::string prefix)
      : file_(std::move(file)), prefix_(std::move(prefix)), json_(std::move(json)) {}

  static std::string shown(const nlohmann::json& value) {
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

  std::string file_;
  std::string prefix_;
  nlohmann::json json_;
};

}  // namespace loaders

TTT_NAMESPACE_END
