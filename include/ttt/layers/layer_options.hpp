// SPDX-License-Identifier: MIT
/// @file
/// Options of layers as text. A configuration lists its own in `visit(option)`, which calls
/// `option(name, value, what it is)` for each; a value is an Index, a double, a bool, a std::optional of those, or of
/// an enumeration with a function `names_of`, or a list of doubles. Command lines, files and messages derive from that
/// list.
#pragma once

#include <algorithm>
#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "ttt/core/domain.hpp"

TTT_NAMESPACE_BEGIN

namespace option_text {

template <class Value>
inline constexpr bool is_optional = false;
template <class Value>
inline constexpr bool is_optional<std::optional<Value>> = true;

using List = std::vector<double>;

/// "true", "0.5", "halves"; nothing is "none"; a list is "1/2.5".
template <class Value>
std::string text(const Value& value) {
  if constexpr (std::is_same_v<Value, List>) {
    std::string words;
    for (const double number : value) words += (words.empty() ? "" : "/") + domain::text(number);
    return words;
  } else if constexpr (is_optional<Value>)
    return value ? text(*value) : "none";
  else if constexpr (std::is_enum_v<Value>)
    return std::string(names_of(value)[static_cast<std::size_t>(value)]);
  else if constexpr (std::is_same_v<Value, bool>)
    return value ? "true" : "false";
  else if constexpr (std::is_floating_point_v<Value>)
    return domain::text(value);
  else
    return std::to_string(value);
}

/// What a value may be, in words.
template <class Value>
std::string expected() {
  if constexpr (is_optional<Value>) return expected<typename Value::value_type>() + " or none";
  if constexpr (std::is_same_v<Value, List>) return "numbers with / between them";
  if constexpr (std::is_same_v<Value, bool>) return "true or false";
  if constexpr (std::is_floating_point_v<Value>) return "a number";
  if constexpr (std::is_same_v<Value, Index>) return "a whole number";
  std::string names;
  if constexpr (std::is_enum_v<Value>)
    for (const std::string_view name : names_of(Value{}))
      names += (names.empty() ? "one of " : ", ") + std::string(name);
  return names;
}

/// Whether `words` are such a value, which is assigned then.
template <class Value>
bool parse(std::string_view words, Value& value) {
  if constexpr (std::is_same_v<Value, List>) {
    List numbers;
    for (bool more = !words.empty(); more;) {
      const std::size_t end = words.find('/');
      if (!parse(words.substr(0, end), numbers.emplace_back())) return false;
      more = end != words.npos;
      words.remove_prefix(more ? end + 1 : words.size());
    }
    value = std::move(numbers);
    return true;
  } else if constexpr (is_optional<Value>) {
    typename Value::value_type inner{};
    const bool is_none = words == "none";
    if (!is_none && !parse(words, inner)) return false;
    value = is_none ? Value{} : Value{inner};
    return true;
  } else if constexpr (std::is_same_v<Value, bool>) {
    if (words != "true" && words != "false") return false;
    value = words == "true";
    return true;
  } else if constexpr (std::is_enum_v<Value>) {
    const auto names = names_of(value);
    const auto place = std::find(names.begin(), names.end(), words);
    if (place == names.end()) return false;
    value = static_cast<Value>(place - names.begin());
    return true;
  } else {
    Value number{};
    const auto [end, error] = std::from_chars(words.data(), words.data() + words.size(), number);
    if (error != std::errc() || end != words.data() + words.size()) return false;
    value = number;
    return true;
  }
}

}  // namespace option_text

TTT_NAMESPACE_END
