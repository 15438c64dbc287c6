// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "ttt/core/error.hpp"

namespace ttt::testing {

/// The message of the Error that `function` throws.
template <class Function>
std::string error_message(Function&& function) {
  try {
    function();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

}  // namespace ttt::testing
