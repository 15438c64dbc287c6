// SPDX-License-Identifier: MIT
/// @file
/// What every call of a layer or model makes sure of before anything changes: the shapes of its rows, its segments and
/// their States, and that a backward has the record of a forward. Each call checks once at its beginning; what fails is
/// an Error that names the layer, what was expected and what was found.
#pragma once

#include <algorithm>
#include <functional>
#include <span>
#include <string>
#include <utility>

#include "ttt/core/state.hpp"
#include "ttt/layers/call_checks/recorded_call.hpp"
#include "ttt/layers/call_checks/views.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_segment(const char* name, const char* what, std::size_t i,
                                                                  const char* expected, const char* found) {
  refuse_call(name, (std::string(what) + " of segment " + std::to_string(i)).c_str(), expected, found);
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_length(const char* name, std::size_t i, Index found) {
  refuse_segment(name, "length", i, "at least 0", std::to_string(found).c_str());
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_tokens(const char* name, std::size_t i, Index room,
                                                                 std::int64_t found) {
  refuse_segment(name, "State", i,
                 ("at most " + std::to_string(room) + " tokens, the capacity that initial_state gave it").c_str(),
                 std::to_string(found).c_str());
}
[[noreturn, gnu::cold, gnu::noinline]] inline void refuse_twin(const char* name, const char* what, std::size_t i,
                                                               std::size_t first) {
  const std::string expected = "another one than that of segment " + std::to_string(first);
  refuse_segment(name, what, i, (expected + ", or no other one between them").c_str(), "the same one");
}

inline constexpr const char* made_by_layer = "one that initial_state of such a layer made";
inline constexpr const char* not_made_by_layer =
    "one of another layer or other sizes, default-constructed or moved from";

template <class Layer>
void check_parameters(const char* name, const Layer& layer, const typename Layer::Parameters& parameters) {
  if (!layer.accepts(parameters))
    refuse_call(name, "parameters", "a store's views, of such a layer", "those of another layer, or no memory");
}

/// Throws Error unless equal ones among the pointers that `pointer(i)` gives for i in [0, count) follow one another.
/// Null ones are left out.
template <class Value, class Pointer>
void check_adjacent(const char* name, const char* what, std::size_t count, Pointer&& pointer, Arena& scratch) {
  const Arena::Frame frame(scratch);
  Value** const runs = scratch.allocate<Value*>(static_cast<Index>(count));
  const std::less<Value*> before;
  std::size_t size = 0;
  bool ascends = true;  // as pointers into one array do: then they need no sorting
  for (std::size_t i = 0; i < count; ++i) {
    Value* const next = pointer(i);
    if (!next || (size > 0 && runs[size - 1] == next)) continue;
    ascends = ascends && (size == 0 || before(runs[size - 1], next));
    runs[size++] = next;
  }
  if (ascends) return;
  std::sort(runs, runs + size, before);
  Value* const* const twice = std::adjacent_find(runs, runs + size);
  if (twice == runs + size) return;
  std::size_t first = 0, last = count - 1;
  while (pointer(first) != *twice) ++first;
  while (pointer(last) != *twice) --last;
  refuse_twin(name, what, last, first);
}

/// Throws Error unless every State was made by such a layer, has a sequence (or is reset) and room for its tokens.
template <class Layer, class State = typename Layer::State>
void check_segments(const char* name, const Layer& layer, std::span<const Segment<State>> segments, Arena& scratch) {
  std::int64_t end = 0;  // of the sequence that the segment belongs to
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const Segment<State>& segment = segments[i];
    if (segment.length < 0) refuse_length(name, i, segment.length);
    if (!segment.state) refuse_segment(name, "State", i, "one", "null");
    if (!continues(segments, i)) {
      if (!layer.accepts(std::as_const(*segment.state)))
        refuse_segment(name, "State", i, made_by_layer, not_made_by_layer);
      end = segment.state->position;
    }
    if (segment.reset) end = 0;
    if (end < 0) refuse_segment(name, "State", i, "one with a sequence, from initial_state or reset", "a wiped one");
    end += segment.length;
    if (const Index room = segment.state->capacity(); end > room) refuse_tokens(name, i, room, end);
  }
  if (segments.size() < 3) return;
  check_adjacent<State>(
      name, "State", segments.size(), [&](std::size_t i) { return segments[i].state; }, scratch);
}

/// The checks of a reset, before anything changes.
template <class Layer>
void check_reset(const char* name, const Layer& layer, const typename Layer::Parameters& parameters,
                 const typename Layer::State& state) {
  check_parameters(name, layer, parameters);
  if (!layer.accepts(state)) refuse_call(name, "State", made_by_layer, not_made_by_layer);
}

/// The checks of a layer's forward, before anything changes.
template <class Layer, class Scalar = typename Layer::Scalar>
void check_forward(const char* name, const Layer& layer, const typename Layer::Parameters& parameters,
                   MatrixView<const Scalar> x, std::span<const Segment<typename Layer::State>> segments,
                   MatrixView<Scalar> y, Arena& scratch) {
  check_parameters(name, layer, parameters);
  check_segments(name, layer, segments, scratch);
  const Index rows = total_rows(segments);
  check_matrix(name, "x, the rows of all segments", x, rows, layer.width());
  check_written(name, "y", y, rows, layer.width());
  if (overlap<Scalar>(x, y)) refuse_call(name, "y", "memory of its own", "memory of x");
}

template <class Layer, class Record>
void check_record(const char* name, const Layer& layer, const Record& record) {
  if (!layer.accepts(record))
    refuse_call(name, "record", "one that a forward of such a layer filled",
                "one without a forward, or of another layer or other sizes");
}

/// Throws Error unless there is a gradient, or null, for each segment of the call, the same for segments that share a
/// State and another for others; or none at all.
template <class State>
void check_shared_gradients(const char* name, SegmentPlan call, std::span<State* const> d_states, Arena& scratch) {
  if (d_states.empty()) return;
  if (d_states.size() != call.size())
    refuse_call(name, "d_states", ("none or " + std::to_string(call.size()) + ", one for each segment").c_str(),
                std::to_string(d_states.size()).c_str());
  const State* previous = nullptr;
  bool given = false;  // for a segment before that shares the State
  for (std::size_t i = 0; i < d_states.size(); ++i) {
    given = given && call[i].continues;
    if (!d_states[i]) continue;
    if (given != (previous == d_states[i]))
      refuse_segment(name, "gradient of the State", i,
                     given ? "that of the segments before, which share the State" : "one of its own",
                     given ? "another one" : "that of the segment before");
    previous = d_states[i];
    given = true;
  }
  if (d_states.size() < 3) return;
  check_adjacent<State>(
      name, "gradient of the State", d_states.size(), [&](std::size_t i) { return d_states[i]; }, scratch);
}

/// Throws Error unless parameters and all gradients are of such a layer.
template <class Layer>
void check_gradients(const char* name, const Layer& layer, const typename Layer::Parameters& parameters,
                     const typename Layer::Parameters& gradients, std::span<typename Layer::State* const> d_states) {
  check_parameters(name, layer, parameters);
  if (!layer.accepts_gradients(gradients))
    refuse_call(name, "gradients", "tensors of such a layer", "those of another layer");
  for (std::size_t i = 0; i < d_states.size(); ++i)
    if (d_states[i] && !layer.accepts(std::as_const(*d_states[i])))
      refuse_segment(name, "gradient of the State", i, made_by_layer, not_made_by_layer);
}

/// The checks of a layer's backward, before anything changes. `in_place`: d_x may be d_y itself.
template <class Layer, class Scalar = typename Layer::Scalar>
void check_backward(const char* name, const Layer& layer, const typename Layer::Parameters& parameters,
                    const typename Layer::Record& record, MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                    const typename Layer::Parameters& gradients, std::span<typename Layer::State* const> d_states,
                    Arena& scratch, bool in_place = false) {
  check_record(name, layer, record);
  check_gradients(name, layer, parameters, gradients, d_states);
  check_shared_gradients(name, record.call.plan(), d_states, scratch);
  check_matrix(name, "d_y", d_y, record.call.rows(), layer.width());
  if (!d_x.empty()) check_written(name, "d_x", d_x, record.call.rows(), layer.width());
  const bool same = in_place && d_x.data() == d_y.data() && (d_y.rows() < 2 || d_x.stride() == d_y.stride());
  if (!same && overlap<Scalar>(d_y, d_x)) refuse_call(name, "d_x", "memory of its own", "memory of d_y");
}

}  // namespace detail

TTT_NAMESPACE_END
