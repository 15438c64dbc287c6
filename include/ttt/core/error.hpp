// SPDX-License-Identifier: MIT
#pragma once

#include <exception>
#include <stdexcept>
#include <string>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// Input from outside (a file, a configuration, a prompt, a shape) is not what the library was promised; the message
/// names the thing, what was expected and what was found. Nothing has been changed when it is thrown.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The caller asked to stop through Context::cancellation. Not an Error: nothing is wrong.
class Cancelled : public std::exception {
 public:
  const char* what() const noexcept override { return "cancelled by the caller"; }
};

/// Throws Error("<subject>: expected <expected>, found <found>").
[[noreturn]] inline void throw_unexpected(const std::string& subject, const std::string& expected,
                                          const std::string& found) {
  throw Error(subject + ": expected " + expected + ", found " + found);
}

TTT_NAMESPACE_END
