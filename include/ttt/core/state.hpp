// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>
#include <utility>

#include "ttt/core/fingerprint.hpp"
#include "ttt/core/function_ref.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// Called with the name and the values of each part of a State: for saving, inspecting and wiping.
template <class Scalar>
using StateVisitor = FunctionRef<void(std::string_view, VectorView<Scalar>)>;

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

/// The state of one sequence in one buffer, as most layers need it: a value, compared bit for bit. What lies where is
/// the layer's own knowledge; places not in use are zero, so that equal states have equal bits.
///
/// As the gradient of a state it has the same places; `position` then means nothing.
template <class Element>
struct BufferState {
  using Scalar = Element;

  Position position;  ///< tokens read since the sequence began
  Buffer<Scalar> values;
  Fingerprint layer{};  ///< that made it

  void visit(StateVisitor<Scalar> visitor) { visitor("values", {values.data(), values.size()}); }
  /// Zeros everywhere and no sequence: nothing is left of what was read. Also the start of a gradient.
  void wipe() {
    position = Position::none;
    values.clear();
  }
  friend bool operator==(const BufferState&, const BufferState&) = default;
};

TTT_NAMESPACE_END
