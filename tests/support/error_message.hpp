// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "ttt/core/error.hpp"

namespace ttt::testing {

/// The message of the Error that `action` throws; empty when it throws none, so that no words are found in it.
template <class Action>
std::string error_message(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return {};
}

/// Whether `text` contains every one of `parts`.
template <class... Parts>
bool contains(std::string_view text, const Parts&... parts) {
  return ((text.find(parts) != std::string_view::npos) && ...);
}

/// Empty when `action` throws an Error with all `parts` in its message; otherwise what is wrong with it.
template <class Action>
std::string error_lacks(Action&& action, std::initializer_list<std::string_view> parts) {
  const std::string message = error_message(action);
  if (message.empty()) return "no error was thrown";
  for (const std::string_view part : parts)
    if (!contains(message, part)) return "'" + std::string(part) + "' is missing in: " + message;
  return {};
}

}  // namespace ttt::testing
