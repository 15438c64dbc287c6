// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string_view>

#include "ttt/core/function_ref.hpp"
#include "ttt/core/storage.hpp"

TTT_NAMESPACE_BEGIN

/// Called with the name and the values of each part of a State: for saving, inspecting and wiping.
template <class Scalar>
using StateVisitor = FunctionRef<void(std::string_view, VectorView<Scalar>)>;

/// The state of one sequence in one buffer, as most layers need it: a value, compared bit for bit. What lies where is the
/// layer's own knowledge; places not in use are zero, so that equal states have equal bits.
///
/// As the gradient of a state it has the same places; `position` then means nothing.
template <class Element>
struct BufferState {
  using Scalar = Element;

  std::int64_t position = 0;  ///< tokens read since the sequence began
  Buffer<Scalar> values;

  void visit(StateVisitor<Scalar> visitor) { visitor("values", {values.data(), values.size()}); }
  /// Zeros everywhere, position 0: the start of a gradient, or a wiped session.
  void clear() {
    position = 0;
    values.clear();
  }
  friend bool operator==(const BufferState&, const BufferState&) = default;
};

TTT_NAMESPACE_END
