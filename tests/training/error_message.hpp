// SPDX-License-Identifier: MIT
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

#include "ttt/core/error.hpp"

namespace ttt_test {

/// Empty when `function` throws ttt::Error with all `parts` in its message; otherwise what is wrong with it.
template <class Function>
std::string error_lacks(Function&& function, std::initializer_list<std::string_view> parts) {
  try {
    function();
  } catch (const ttt::Error& error) {
    const std::string message = error.what();
    for (const std::string_view part : parts)
      if (message.find(part) == std::string::npos) return "'" + std::string(part) + "' is missing in: " + message;
    return {};
  }
  return "no error was thrown";
}

}  // namespace ttt_test
