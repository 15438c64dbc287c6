// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// The keys of one object of a tokenizer.json. A missing key and a null one are the same. Every Error is one line:
/// file, key, expected, found.
class Fields {
 public:
  Fields(const nlohmann::json& json, std::string file, std::string path)
      : json_(&json), file_(std::move(file)), path_(std::move(path)) {
    if (!json.is_object()) throw_unexpected(file_ + ", key '" + printable(path_) + "'", "an object", json.type_name());
  }

  bool has(const std::string& key) const { return json_->contains(key) && !(*json_)[key].is_null(); }

  std::string text(const std::string& key) const {
    if (!has(key) || !at(key).is_string()) fail(key, "a string");
    return at(key).get<std::string>();
  }
  std::string type() const { return text("type"); }
  bool flag(const std::string& key, bool otherwise) const {
    if (!has(key)) return otherwise;
    if (!at(key).is_boolean()) fail(key, "true or false");
    return at(key).get<bool>();
  }
  double number(const std::string& key) const {
    if (!has(key) || !at(key).is_number()) fail(key, "a number");
    return at(key).get<double>();
  }
  std::uint64_t whole(const std::string& key) const {
    if (!has(key) || !at(key).is_number_unsigned()) fail(key, "a whole number");
    return at(key).get<std::uint64_t>();
  }
  std::vector<std::uint64_t> whole_numbers(const std::string& key) const {
    std::vector<std::uint64_t> numbers;
    for (const auto& value : array(key)) {
      if (!value.is_number_unsigned()) fail(key, "whole numbers");
      numbers.push_back(value.get<std::uint64_t>());
    }
    return numbers;
  }
  Fields object(const std::string& key) const {
    if (!has(key)) fail(key, "an object");
    return Fields(at(key), file_, name(key));
  }
  /// The objects of a list; none when there is no list.
  std::vector<Fields> list(const std::string& key) const {
    std::vector<Fields> objects;
    if (!has(key)) return objects;
    for (const auto& value : array(key))
      objects.emplace_back(value, file_, name(key) + "." + std::to_string(objects.size()));
    return objects;
  }

  /// File and key, for messages.
  std::string place(const std::string& key) const { return file_ + ", key '" + printable(name(key)) + "'"; }

  /// Throws Error unless the text under `key` is this one.
  void require_text(const std::string& key, std::string_view expected) const {
    if (text(key) != expected) fail(key, "'" + std::string(expected) + "'");
  }

  [[noreturn]] void fail(const std::string& key, const std::string& expected) const {
    fail(key, expected,
         has(key) ? printable(at(key).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)) : "none");
  }
  [[noreturn]] void fail(const std::string& key, const std::string& expected, const std::string& found) const {
    throw_unexpected(place(key), expected, found);
  }

 private:
  const nlohmann::json& at(const std::string& key) const { return (*json_)[key]; }
  const nlohmann::json& array(const std::string& key) const {
    if (!has(key) || !at(key).is_array()) fail(key, "a list");
    return at(key);
  }
  std::string name(const std::string& key) const { return path_.empty() ? key : path_ + "." + key; }

  const nlohmann::json* json_;
  std::string file_;
  std::string path_;
};

/// The object under `key`, or those of its list `parts` when it is a Sequence, in their order.
inline std::vector<Fields> components(const Fields& root, const std::string& key, const std::string& parts) {
  if (!root.has(key)) return {};
  const Fields object = root.object(key);
  return object.type() == "Sequence" ? object.list(parts) : std::vector<Fields>{object};
}

}  // namespace io::detail
TTT_NAMESPACE_END
