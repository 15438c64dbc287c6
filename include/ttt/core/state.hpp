// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "ttt/core/error.hpp"
#include "ttt/core/state_layout.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// Tokens that a sequence has read; −1 in a State without a sequence: one that is default-constructed, moved from or
/// wiped. Calls refuse such a State until it is reset.
class Position {
 public:
  static constexpr std::int64_t none = -1;

  constexpr Position() = default;
  constexpr Position(std::int64_t tokens) : tokens_(tokens) {}
  constexpr Position(const Position&) = default;
  constexpr Position(Position&& other) noexcept : tokens_(std::exchange(other.tokens_, none)) {}
  constexpr Position& operator=(const Position&) = default;
  constexpr Position& operator=(Position&& other) noexcept {
    tokens_ = std::exchange(other.tokens_, none);
    return *this;
  }
  constexpr operator std::int64_t() const { return tokens_; }

 private:
  std::int64_t tokens_ = none;
};

/// What a layer or a model remembers of one sequence: a position and one buffer of values, in which a layout names the
/// parts. A value, compared bit for bit; places not in use are zero, so that equal States have equal bits. Copying is
/// one copy of memory, wiping one filling with zeros.
///
/// As the gradient of a State it has the same places; `position` then means nothing.
template <class Element>
struct State {
  using Scalar = Element;

  Position position;  ///< tokens read since the sequence began
  Buffer<Scalar> values;
  std::shared_ptr<const StateLayout> layout;  ///< shared by copies: it never changes

  /// Nobody's, holds nothing; only to be assigned to.
  State() = default;
  /// Zeros and no sequence: the start of a gradient, or to be reset.
  explicit State(std::shared_ptr<const StateLayout> of) : values(of->size()), layout(std::move(of)) {}

  /// Whether it has a layout and the values of that: neither nobody's nor moved from.
  bool whole() const { return layout && values.size() == layout->size(); }
  /// Whether the layer or model with this fingerprint made it.
  bool made_by(Fingerprint maker) const { return whole() && layout->maker() == maker; }
  /// Tokens it has room for.
  Index capacity() const { return layout ? layout->capacity() : 0; }

  MatrixView<Scalar> operator[](const StatePart& part) {
    return {values.data() + part.offset, part.rows, part.columns, part.stride};
  }
  MatrixView<const Scalar> operator[](const StatePart& part) const {
    return {values.data() + part.offset, part.rows, part.columns, part.stride};
  }

  /// Zeros everywhere and no sequence: nothing is left of what was read.
  void wipe() {
    position = Position::none;
    values.clear();
  }
  /// Inner layout i, as a State in the memory of this one, at the same position. It and its layout are valid as long as
  /// this State is; where it moves to, this one does not follow.
  State lend(std::size_t i) {
    const auto& [offset, inner] = layout->inner()[i];
    State part;
    part.position = position;
    part.values = Buffer<Scalar>::lent(values.data() + offset, inner->size());
    part.layout = std::shared_ptr<const StateLayout>(std::shared_ptr<void>(), inner.get());
    return part;
  }

  friend bool operator==(const State& a, const State& b) {
    const bool alike = a.layout == b.layout || (a.layout && b.layout && *a.layout == *b.layout);
    return alike && a.position == b.position && a.values == b.values;
  }
};

/// The same sequence in a State of another layout of its maker, such as one with room for more tokens: each part is
/// found by its name and has at least as many rows and columns. Throws Error naming the part that has not.
template <class Scalar>
State<Scalar> grown(const State<Scalar>& state, std::shared_ptr<const StateLayout> layout) {
  const auto refuse = [](const std::string& what, Index least, Index found) {
    throw_unexpected("State to grow, " + what, "at least " + std::to_string(least), std::to_string(found));
  };
  if (!state.made_by(layout->maker()))
    throw_unexpected("State to grow", "one of the layer or model that made the layout", "another one");
  if (layout->capacity() < state.capacity()) refuse("capacity", state.capacity(), layout->capacity());
  State<Scalar> larger(std::move(layout));
  larger.position = state.position;
  const auto& places = larger.layout->parts();
  for (const StatePart& part : state.layout->parts()) {
    const auto place = std::find_if(places.begin(), places.end(), [&](const auto& p) { return p.name == part.name; });
    if (place == places.end()) throw_unexpected("State to grow", "part '" + part.name + "'", "none");
    if (place->rows < part.rows) refuse("rows of part '" + part.name + "'", part.rows, place->rows);
    if (place->columns < part.columns) refuse("columns of part '" + part.name + "'", part.columns, place->columns);
    copy(state[part], larger[*place].rows(0, part.rows).columns(0, part.columns));
  }
  return larger;
}

TTT_NAMESPACE_END
