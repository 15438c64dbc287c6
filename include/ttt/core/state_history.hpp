// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/state.hpp"

TTT_NAMESPACE_BEGIN

/// What the last tokens of a State have overwritten, to go back to where it was before them: for drafts that turn out
/// wrong. It keeps what a token changes (TokenWrites): a row of a cache or of an open mini-batch, all fast weights only
/// where a mini-batch ends, everything of layers whose whole state changes with every token.
///
///     history.keep(state);                  // before every call
///     layer.forward(x, state, y, context);
///     history.back(state, 3);               // the State of three tokens ago, bit for bit
///
/// It belongs to one State at a time: every call that this reads goes through `keep`. A State that stands elsewhere
/// than the last kept call ends (it was reset, or read something else) begins a new history; one that was exchanged for
/// another at the same position cannot be told. Memory is allocated once, by the constructor; copies are independent.
template <class Scalar>
class StateHistory {
 public:
  /// Of the last `depth` tokens of a State of this layout. Throws Error for a depth below 1 and without a layout.
  StateHistory(std::shared_ptr<const StateLayout> layout, Index depth) : layout_(std::move(layout)), depth_(depth) {
    domain::size("history of a State: depth", depth);
    if (!layout_) throw_unexpected("history of a State: layout", "that of a State", "none");
    Index size = 0;
    for (const StatePart& part : layout_->parts()) {
      const TokenWrites& writes = part.writes;
      Kept kept{&part, part.rows * writes.slot_size()};
      kept.slots = std::exchange(size, size + depth * kept.slot_size);
      kept.whole_count = writes.period == 0 ? 0 : (depth + writes.period - 1) / writes.period;
      kept.wholes = std::exchange(size, size + kept.whole_count * part.rows * part.columns);
      parts_.push_back(kept);
    }
    values_ = Buffer<Scalar>(size);
    begins_ = Buffer<std::int64_t>(depth);
  }

  Index depth() const { return depth_; }
  /// Tokens that it reaches back, of at most `depth`.
  Index tokens() const { return static_cast<Index>(end_ - first_); }
  std::size_t bytes() const { return values_.bytes() + begins_.bytes(); }

  /// Keeps what a call will overwrite that reads `tokens` from where `state` stands. Throws Error for a State of
  /// another layout or without a sequence, and for more tokens than `depth`.
  void keep(const State<Scalar>& state, Index tokens = 1) {
    check(state);
    if (state.position < 0) throw_unexpected("State to keep", "one with a sequence", "one without");
    if (tokens < 1 || tokens > depth_)
      throw_unexpected("history of a State: tokens of a call", "1 to " + std::to_string(depth_),
                       std::to_string(tokens));
    const std::int64_t begin = state.position, end = begin + tokens;
    for (const Kept& kept : parts_) {
      const std::int64_t whole = kept.part->writes.next_whole(begin);
      if (whole < end)
        copy<Scalar>(state[*kept.part], whole_of(kept, whole));
      else
        for (std::int64_t p = begin; p < end; ++p)
          for_each_stretch(kept, p, state[*kept.part], [](auto in_state, auto here) { copy<Scalar>(in_state, here); });
    }
    if (begin != end_) first_ = begin;
    for (std::int64_t p = begin; p < end; ++p) begin_of(p) = begin;
    first_ = std::max<std::int64_t>(first_, end - depth_);
    end_ = end;
  }

  /// Whether `back` can go back so many tokens. Where a call began it always can; to a place inside of a call of
  /// several tokens only if each of these has left all it overwrote in a slot of its own: so it is with caches, and
  /// with TTT layers without convolutions while their mini-batch stays open.
  bool reaches(Index tokens) const {
    if (tokens < 0 || tokens > this->tokens()) return false;
    const std::int64_t to = end_ - tokens;
    if (tokens == 0 || begin_of(to) == to) return true;
    std::int64_t end = to;
    while (end < end_ && begin_of(end) == begin_of(to)) ++end;
    return std::all_of(parts_.begin(), parts_.end(), [&](const Kept& kept) {
      const TokenWrites& writes = kept.part->writes;
      return writes.next_whole(begin_of(to)) >= end && (writes.slots == 0 || end - begin_of(to) <= writes.wrapping());
    });
  }

  /// Makes `state` what it was so many tokens ago; the history then ends there. Throws Error, with nothing changed, for
  /// a State that is not where the last kept call has left it, and where the history does not reach.
  void back(State<Scalar>& state, Index tokens) {
    check(state);
    if (tokens == 0) return;
    if (state.position != end_)
      throw_unexpected("State to go back",
                       "one at position " + std::to_string(end_) + ", where the last kept call ends",
                       "position " + std::to_string(state.position));
    if (!reaches(tokens))
      throw_unexpected("history of a State: tokens to go back",
                       "0 to " + std::to_string(this->tokens()) + ", and a place where a call began",
                       std::to_string(tokens));
    const std::int64_t to = end_ - tokens;
    for (const Kept& kept : parts_) {
      const std::int64_t whole = kept.part->writes.next_whole(to);
      if (whole < end_) copy<Scalar>(whole_of(kept, whole), state[*kept.part]);
      // Where slots come round again, the oldest has the last word.
      for (std::int64_t p = whole < end_ ? begin_of(whole) : std::int64_t{end_}; p-- > to;)
        for_each_stretch(kept, p, state[*kept.part], [](auto in_state, auto here) { copy<Scalar>(here, in_state); });
    }
    state.position = end_ = to;
  }

  /// Zeros everywhere and nothing kept: for sequences that are to be forgotten.
  void wipe() {
    values_.clear();
    first_ = end_ = Position::none;
  }

 private:
  /// Where the places of a part are: a slot for each of the last `depth` positions, [rows · slot_size] each, and the
  /// whole part for as many as change it, [rows × columns] each.
  struct Kept {
    const StatePart* part = nullptr;
    Index slot_size = 0, slots = 0, whole_count = 0, wholes = 0;
  };

  void check(const State<Scalar>& state) const {
    if (!layout_ || !state.whole() || !(state.layout == layout_ || *state.layout == *layout_))
      throw_unexpected("State to keep or to go back", "one of the layout of its history", "another one");
  }
  /// Where the call began that read the token at a position.
  std::int64_t& begin_of(std::int64_t position) { return begins_[static_cast<Index>(position % depth_)]; }
  std::int64_t begin_of(std::int64_t position) const { return begins_[static_cast<Index>(position % depth_)]; }

  MatrixView<Scalar> whole_of(const Kept& kept, std::int64_t position) {
    const Index rows = kept.part->rows, columns = kept.part->columns;
    const auto place = static_cast<Index>(position / kept.part->writes.period % kept.whole_count);
    return {values_.data() + kept.wholes + place * rows * columns, rows, columns};
  }
  /// Calls `body(in_state, here)` for each stretch of the slot of a position, with views of one shape.
  template <class View, class Body>
  void for_each_stretch(const Kept& kept, std::int64_t position, View part, Body&& body) {
    if (kept.slot_size == 0) return;
    const TokenWrites& writes = kept.part->writes;
    Scalar* here = values_.data() + kept.slots + static_cast<Index>(position % depth_) * kept.slot_size;
    for (Index r = 0; r < part.rows(); ++r)
      writes.for_each_stretch(writes.slot(position), [&](Index column, Index count) {
        const Index rows = writes.panel == 1 ? 1 : count, columns = count / rows;
        body(View(part.row(r) + column, rows, columns, writes.panel), MatrixView<Scalar>(here, rows, columns));
        here += count;
      });
  }

  std::shared_ptr<const StateLayout> layout_;
  std::vector<Kept> parts_;  // whose StateParts are those of the layout, which lives as long
  Buffer<Scalar> values_;
  Buffer<std::int64_t> begins_;
  Index depth_ = 0;
  Position first_, end_;  // the positions whose tokens it has: [first, end)
};

TTT_NAMESPACE_END
