// SPDX-License-Identifier: MIT
/// @file
/// What the values of options may be. Checks say in one line what is wrong.
#pragma once

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace ttt_lm {

/// What a value may be, and how help names it.
struct OptionKind {
  const char* name;
  std::function<std::string(const std::string&)> check;
};

/// `standard` is what help says of the value without the option, if not the value itself.
template <typename Value>
CLI::Option* add(CLI::App& command, const char* name, Value& value, const OptionKind& kind, const char* text,
                 const char* standard = nullptr) {
  auto* option = command.add_option(name, value, text)->type_name(kind.name)->check(kind.check);
  return standard ? option->default_str(standard) : option;
}

// Far above what anybody trains, and no product of two or three of them overflows.
constexpr std::int64_t largest_size = 1'000'000, largest_context = 1'000'000'000, largest_count = 1'000'000'000'000;

/// `why` follows the largest number in what is said of a larger one.
inline OptionKind whole_number(std::int64_t smallest, std::int64_t largest = largest_count, const char* name = "N",
                               const char* why = "") {
  return {name, [=](const std::string& text) {
            std::int64_t value = 0;
            const bool is_number = CLI::detail::lexical_cast(text, value);
            if (is_number && value >= smallest && value <= largest) return std::string();
            const bool too_large = is_number && value > largest;
            return "expected a whole number of at " +
                   (too_large ? "most " + std::to_string(largest) + why : "least " + std::to_string(smallest)) +
                   ", found " + text;
          }};
}

inline OptionKind finite_number(const char* name, const char* range, bool (*is_inside)(double)) {
  return {name, [=](const std::string& text) {
            double value = 0;
            const bool fits = CLI::detail::lexical_cast(text, value) && std::isfinite(value) && is_inside(value);
            return fits ? std::string() : std::string("expected a number ") + range + ", found " + text;
          }};
}

inline OptionKind positive_number(const char* name) {
  return finite_number(name, "above 0", [](double value) { return value > 0; });
}

inline OptionKind number_from_zero(const char* name) {
  return finite_number(name, "of at least 0", [](double value) { return value >= 0; });
}

inline OptionKind share() {
  return finite_number("SHARE", "from 0 to 1", [](double value) { return value >= 0 && value <= 1; });
}

inline OptionKind positive_share(const char* name) {
  return finite_number(name, "above 0 and at most 1", [](double value) { return value > 0 && value <= 1; });
}

inline OptionKind one_of(const std::vector<std::string>& choices, const char* name = "NAME") {
  return {name, [=](const std::string& text) {
            if (std::find(choices.begin(), choices.end(), text) != choices.end()) return std::string();
            return "expected one of " + CLI::detail::join(choices, ", ") + ", found '" + text + "'";
          }};
}

inline OptionKind any_text(const char* name) {
  return {name, [](const std::string&) { return ""; }};
}

// The parser would read nothing as 0.
inline OptionKind some_text(const char* name) {
  return {name, [](const std::string& text) { return text.empty() ? "expected something, found an empty text" : ""; }};
}

}  // namespace ttt_lm
