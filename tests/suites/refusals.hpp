// SPDX-License-Identifier: MIT
/// @file
/// Calls that must be refused: an Error with the words that are expected, and not a bit changed of anything watched.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "suites/contracts.hpp"
#include "support/error_message.hpp"

namespace ttt::suites {

namespace bits {

template <class Scalar>
void append(std::string& bytes, const Scalar* values, Index count) {
  bytes.append(reinterpret_cast<const char*>(values), static_cast<std::size_t>(count) * sizeof(Scalar));
}

template <class Scalar>
std::string of(const testing::Matrix<Scalar>& matrix) {
  std::string bytes;
  append(bytes, matrix.view().data(), matrix.rows() * matrix.columns());
  return bytes;
}

template <class Parameters>
std::string of(const ParameterStore<Parameters>& store) {
  std::string bytes;
  append(bytes, store.arena().data(), store.arena().size());
  return bytes;
}

template <SequenceState State>
std::string of(const State& state) {
  std::string bytes;
  const std::int64_t position = state.position;
  append(bytes, &position, 1);
  for (const auto& part : testing::parts_of_state(state))
    append(bytes, part.values.data(), static_cast<Index>(part.values.size()));
  return bytes;
}

}  // namespace bits

/// Runs the cells of a table of wrong calls.
class Refusals {
 public:
  explicit Refusals(const std::string& name) : report_{name, 0, {}} {}

  /// `value` must keep its bits; it stays where it is.
  template <class Value>
  void watch(const std::string& name, const Value& value) {
    watched_.push_back({name, [&value] { return bits::of(value); }});
  }

  /// One cell: `call` throws an Error whose message has `words`.
  void refuse(const std::string& cell, const std::string& words, const std::function<void()>& call) {
    std::vector<std::string> before;
    for (const auto& [name, read] : watched_) before.push_back(read());
    report_.add(cell, testing::error_lacks(call, {words}));
    for (std::size_t i = 0; i < watched_.size(); ++i)
      report_.expect(watched_[i].second() == before[i], cell + ": " + watched_[i].first + " changed");
    ++cells_;
  }

  /// A call that is right after all the wrong ones.
  void expect(bool holds, const std::string& what) { report_.expect(holds, what); }

  Index cells() const { return cells_; }
  const Report& report() const { return report_; }

 private:
  Report report_;
  std::vector<std::pair<std::string, std::function<std::string()>>> watched_;
  Index cells_ = 0;
};

}  // namespace ttt::suites
