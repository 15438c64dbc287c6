// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/fingerprint.hpp"
#include "ttt/core/token_writes.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// What a part of a State holds.
enum class StateKind {
  fast_weights,     ///< of the inner model, as they were learned from the sequence
  open_mini_batch,  ///< of the tokens read since the fast weights last changed
  cache,            ///< of keys and values
  tail              ///< the last inputs of a causal convolution
};

/// One named part of a State: a matrix among its values.
struct StatePart {
  std::string name;
  StateKind kind = StateKind::fast_weights;
  Index offset = 0;             ///< of its first scalar
  Index rows = 0, columns = 0;  ///< a row for each head, say
  Index stride = 0;             ///< scalars from one row to the next
  TokenWrites writes{};         ///< what of it a token changes

  friend bool operator==(const StatePart&, const StatePart&) = default;
};

/// Where the values of a State lie in its one buffer, and what they are: read by all who save, compare, grow or inspect
/// States. A model's has the parts of its blocks behind a prefix, "layers.0.layer.fast_weights", and lends them theirs.
class StateLayout {
 public:
  static constexpr Index unlimited = std::numeric_limits<Index>::max();

  /// A layout without parts, of the layer or model that has this fingerprint; its States have room for `capacity`
  /// tokens.
  explicit StateLayout(Fingerprint maker, Index capacity = unlimited) : maker_(maker), capacity_(capacity) {}

  struct Columns {
    std::string_view name;
    StateKind kind;
    Index count;
    TokenWrites writes{};
  };
  /// Appends parts of so many rows that lie beside one another; those without values have no part. What a token writes
  /// is all of a part, unless it is said.
  void add(Index rows, std::initializer_list<Columns> side_by_side) {
    Index stride = 0, offset = size_;
    for (const Columns& part : side_by_side) stride += part.count;
    for (const auto& [name, kind, columns, writes] : side_by_side) {
      if (rows * columns > 0) parts_.push_back({std::string(name), kind, offset, rows, columns, stride, writes});
      offset += columns;
    }
    size_ += rows * stride;
  }
  /// Appends all parts of another layout, their names behind `prefix`, as one that can be lent.
  void add(const std::string& prefix, std::shared_ptr<const StateLayout> inner) {
    const Index offset = (size_ + unit - 1) / unit * unit;
    for (StatePart part : inner->parts_) {
      part.name.insert(0, prefix);
      part.offset += offset;
      parts_.push_back(std::move(part));
    }
    size_ = offset + inner->size_;
    capacity_ = std::min(capacity_, inner->capacity_);
    inner_.push_back({offset, std::move(inner)});
  }

  Fingerprint maker() const { return maker_; }
  Index capacity() const { return capacity_; }
  /// Scalars of a State.
  Index size() const { return size_; }
  const std::vector<StatePart>& parts() const { return parts_; }

  /// A layout inside of this one, from the scalar at `offset` on.
  struct Inner {
    Index offset;
    std::shared_ptr<const StateLayout> layout;
  };
  const std::vector<Inner>& inner() const { return inner_; }

  friend bool operator==(const StateLayout& a, const StateLayout& b) {
    return a.maker_ == b.maker_ && a.capacity_ == b.capacity_ && a.size_ == b.size_ && a.parts_ == b.parts_;
  }

 private:
  static constexpr Index unit = 64;  // scalars: inner layouts begin where a buffer of their own could, of any scalar

  Fingerprint maker_;
  Index capacity_, size_ = 0;
  std::vector<StatePart> parts_;
  std::vector<Inner> inner_;
};

TTT_NAMESPACE_END
