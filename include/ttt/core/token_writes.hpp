// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include "ttt/core/config.hpp"

TTT_NAMESPACE_BEGIN

/// What the token at a position changes of a part of a State, the same columns in every row: all of them, unless a
/// layer knows better. A StateHistory keeps no more than that: too much only costs time, too little is a State that
/// comes back wrong, which the suite of layers finds.
///
/// A token that does not change everything changes one slot, or nothing where there are none. A row of the part is then
/// a table of slots for each of `widths`, one behind the other; those of a panel lie interleaved, scalar by scalar.
struct TokenWrites {
  static constexpr std::int64_t never = std::numeric_limits<std::int64_t>::max();

  Index period = 1;             ///< the last of every so many tokens changes everything; 0: none does
  bool by_first = false;        ///< the first of them does instead
  Index slots = 0;              ///< of each table; a position takes one, in turn
  std::vector<Index> widths{};  ///< scalars of a slot, of each table
  Index panel = 1;              ///< slots of a panel, a divisor of `slots`
  Index sinks = 0;              ///< first positions, whose slots nobody else takes
  Index ring = 0;               ///< first of the slots that the others take

  /// The first position from `position` on whose token changes everything.
  std::int64_t next_whole(std::int64_t position) const {
    const Index place = by_first ? 0 : period - 1;  // among so many
    return period == 0 ? never : position + (period + place - position % period) % period;
  }
  /// Slots that come round again; so many positions that follow one another have slots of their own.
  Index wrapping() const { return slots - ring; }
  Index slot(std::int64_t position) const {
    return position < sinks ? static_cast<Index>(position) : ring + static_cast<Index>(position % wrapping());
  }
  /// Scalars of a slot in one row of the part.
  Index slot_size() const {
    Index sum = 0;
    for (const Index width : widths) sum += width;
    return sum;
  }
  /// Calls `body(column, count)` for each table: the scalars of a slot in a row, `panel` columns from one to the next.
  template <class Body>
  void for_each_stretch(Index slot, Body&& body) const {
    Index table = 0;
    for (const Index width : widths) {
      body(table + slot / panel * panel * width + slot % panel, width);
      table += slots * width;
    }
  }

  friend bool operator==(const TokenWrites&, const TokenWrites&) = default;
};

TTT_NAMESPACE_END
