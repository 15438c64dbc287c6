// SPDX-License-Identifier: MIT
/// @file
/// Causal multi-head attention with grouped key/value heads and rotary embedding, over everything (a cache that grows) or
/// over a sliding window (a ring): the layers that TTT layers compete with, named and shaped as in llama and mistral.
#pragma once

#include <algorithm>
#include <cstddef>
#include <memory>
#include <span>
#include <string>

#include "ttt/kernels/rotary.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/rules/attention/call_backward.hpp"

TTT_NAMESPACE_BEGIN

struct AttentionConfig {
  Index width = 0;            ///< C
  Index heads = 1;            ///< query heads, H; a head has D = C / H channels
  Index key_value_heads = 0;  ///< keys and values are shared by H / key_value_heads query heads; 0 means H
  Index window = 0;           ///< SlidingWindowAttention: keys a query sees, itself included
  double rope_theta = 10000;
  kernels::RotaryPairs rotary_pairs = kernels::RotaryPairs::halves;

  Index key_value_count() const { return key_value_heads == 0 ? heads : key_value_heads; }
  Index head_width() const { return width / heads; }
  Index key_value_width() const { return key_value_count() * head_width(); }
};

/// What a layer of attention keeps of a sequence.
enum class AttentionMemory {
  growing,  ///< every key and value, up to the capacity of the State
  ring      ///< those of the last `window` tokens
};

template <class Element>
struct AttentionParameters {
  using Scalar = Element;
  Tensor<Scalar> query, key, value, output;

  void visit(ParameterVisitor<Scalar> visitor) {
    visitor("q_proj.weight", query, parameter::projection);
    visitor("k_proj.weight", key, parameter::projection);
    visitor("v_proj.weight", value, parameter::projection);
    visitor("o_proj.weight", output, parameter::projection);
  }
};

template <class Scalar>
struct AttentionRecord {
  Arena arena;
  MatrixView<const Scalar> x;
  rules::AttentionRows<Scalar> rows;
  std::span<rules::AttentionPiece<Scalar>> pieces;
};

/// y = concat_h(softmax(R(x W_qᵀ)_h R(x W_kᵀ)_gᵀ / √D + mask) (x W_vᵀ)_g) W_oᵀ, R being the rotary embedding and g = h · H_kv
/// / H the key/value head of query head h (Vaswani et al. 2017, equation 1; Ainslie et al. 2023, "GQA"; window as in Jiang
/// et al. 2023, "Mistral 7B": query i sees keys j with i − W < j ≤ i).
///
/// The bits of a row of y depend on its own sequence and not on how that is cut into calls.
template <class Element, AttentionMemory memory>
class BasicAttention {
 public:
  using Scalar = Element;
  using Config = AttentionConfig;
  using Parameters = AttentionParameters<Scalar>;
  using State = BufferState<Scalar>;
  using Record = AttentionRecord<Scalar>;
  using Segments = std::span<const Segment<State>>;

  /// Throws Error for a configuration that makes no layer.
  explicit BasicAttention(const Config& config)
      : config_((check(config), config)),
        layout_{{config.head_width(), config.heads / config.key_value_count(),
                 memory == AttentionMemory::ring ? config.window : rules::unlimited_window},
                config.key_value_count()},
        rotary_(std::make_shared<const kernels::RotaryTable<Scalar>>(config.head_width(), table_positions,
                                                                     config.rope_theta)) {}

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const {
    const Index narrow = config_.key_value_width();
    return {nn::make_weight<Scalar>(width(), width()), nn::make_weight<Scalar>(narrow, width()),
            nn::make_weight<Scalar>(narrow, width()), nn::make_weight<Scalar>(width(), width())};
  }

  /// An empty cache: for `capacity` tokens, more are refused with an Error; a ring has `window` rows, in
  /// whole panels, whatever `capacity`.
  State initial_state(const Parameters&, Index capacity) const {
    return {0, Buffer<Scalar>(state_size(capacity))};
  }
  /// Bytes of the keys and values of a State.
  std::size_t state_bytes(Index capacity) const {
    return static_cast<std::size_t>(state_size(capacity)) * sizeof(Scalar);
  }
  /// Bytes a Record takes for one sequence of `tokens` from its beginning; one that continues also keeps the keys and
  /// values it still sees of the time before.
  std::size_t record_bytes(Index tokens) const { return record_bytes(tokens, 1); }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  using Rows = rules::AttentionRows<Scalar>;
  using Piece = rules::AttentionPiece<Scalar>;

  /// Positions whose angles are looked up; further ones are computed, a few percent of what their attention costs.
  static constexpr Index table_positions = 4096;

  static void check(const Config& config);
  void check_capacity(std::span<const Piece> pieces) const;
  Index state_size(Index capacity) const {
    const Index rows = memory == AttentionMemory::ring ? rules::panel_end(config_.window) : capacity;
    return rules::KeyValueCache<Scalar>::size(rows, config_.key_value_count(), config_.head_width());
  }
  std::size_t record_bytes(Index rows, Index segments) const;
  Rows allocate(Index rows, bool recorded, Arena& arena) const;
  void rotate(std::span<const Piece> pieces, Index start, const Rows& rows, bool back, Context& context) const;

  Config config_;
  rules::AttentionHeads layout_;
  std::shared_ptr<const kernels::RotaryTable<Scalar>> rotary_;  // never changes, so copies of the layer share it
};

/// Attention over everything: [T × C] → [T × C], the State grows with T up to its capacity.
template <class Scalar>
using Attention = BasicAttention<Scalar, AttentionMemory::growing>;

/// Attention over the last `window` tokens: the State is a ring of so many rows.
template <class Scalar>
using SlidingWindowAttention = BasicAttention<Scalar, AttentionMemory::ring>;

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::check(const Config& config) {
  const auto refuse = [](const std::string& option, const std::string& expected, Index found) {
    throw_unexpected("attention option " + option, expected, std::to_string(found));
  };
  if (config.width < 1) refuse("width", "at least 1", config.width);
  if (config.heads < 1 || config.width % config.heads != 0)
    refuse("heads", "a divisor of the width " + std::to_string(config.width), config.heads);
  if (config.key_value_heads < 0 || config.heads % config.key_value_count() != 0)
    refuse("key_value_heads", "0 or a divisor of the " + std::to_string(config.heads) + " heads", config.key_value_heads);
  if (config.head_width() % 2 != 0)
    refuse("heads", "an even head width for the rotary embedding, width " + std::to_string(config.width) + " over heads",
           config.heads);
  if (memory == AttentionMemory::ring && config.window < 1) refuse("window", "at least 1", config.window);
}

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::check_capacity(std::span<const Piece> pieces) const {
  if (memory == AttentionMemory::ring) return;
  for (const Piece& piece : pieces)
    if (const Index capacity = layout_.cache(*piece.state).rows(); piece.end() > capacity)
      throw_unexpected("attention state, which keeps every token",
                       "at most " + std::to_string(capacity) + " tokens, the capacity given to initial_state",
                       std::to_string(piece.end()));
}

template <class Element, AttentionMemory memory>
std::size_t BasicAttention<Element, memory>::record_bytes(Index rows, Index segments) const {
  const Index scalars = 2 * aligned_size<Scalar>(rows * width()) +
                        2 * aligned_size<Scalar>(rows * config_.key_value_width()) +
                        aligned_size<Scalar>(rows * config_.heads);
  const Index plan = aligned_size<std::byte>(segments * static_cast<Index>(sizeof(Piece)));
  return static_cast<std::size_t>(scalars) * sizeof(Scalar) + static_cast<std::size_t>(plan);
}

template <class Element, AttentionMemory memory>
auto BasicAttention<Element, memory>::allocate(Index rows, bool recorded, Arena& arena) const -> Rows {
  Rows all;
  all.queries = arena.matrix<Scalar>(rows, width());
  all.keys = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.values = arena.matrix<Scalar>(rows, config_.key_value_width());
  all.heads = arena.matrix<Scalar>(rows, width());
  if (recorded) all.log_sums = arena.matrix<Scalar>(rows, config_.heads);
  return all;
}

/// Turns queries and keys by the angles of their positions, or their gradients back; row `start` of the call is the
/// first of `rows`.
template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::rotate(std::span<const Piece> pieces, Index start, const Rows& rows, bool back,
                                             Context& context) const {
  constexpr Index rows_per_task = 64;
  const Index head_width = config_.head_width();
  const auto turn = [&](const Scalar* cosines, const Scalar* sines, MatrixView<Scalar> x, Index row) {
    for (Scalar* head = x.row(row); head < x.row(row) + x.columns(); head += head_width)
      if (back)
        kernels::rotate_back(cosines, sines, config_.rotary_pairs, head_width, head, head);
      else
        kernels::rotate(cosines, sines, config_.rotary_pairs, head_width, head, head);
  };
  context.parallel_ranges(rows.queries.rows(), rows_per_task, [&](Index first, Index count, Arena& arena) {
    Scalar* const far_cosines = arena.allocate<Scalar>(head_width / 2);
    Scalar* const far_sines = arena.allocate<Scalar>(head_width / 2);
    auto piece = std::upper_bound(pieces.begin(), pieces.end(), start + first,
                                  [](Index row, const Piece& next) { return row < next.row; }) - 1;
    for (Index row = first; row < first + count; ++row) {
      while (start + row >= piece->row + piece->rows) ++piece;
      const Index position = piece->position + start + row - piece->row;
      const bool near = position < rotary_->positions();
      if (!near) rotary_->row(position, far_cosines, far_sines);
      const Scalar* const cosines = near ? rotary_->cosines(position) : far_cosines;
      const Scalar* const sines = near ? rotary_->sines(position) : far_sines;
      turn(cosines, sines, rows.queries, row);
      turn(cosines, sines, rows.keys, row);
    }
  });
}

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments,
                                              MatrixView<Scalar> y, Context& context, Record* record) const {
  TTT_ASSERT(x.columns() == width() && x.rows() == total_rows(segments), "x must hold the rows of all segments");
  const Arena::Frame frame(context.scratch());
  if (record) {
    record->arena.reset();
    record->arena.reserve(static_cast<Index>(record_bytes(x.rows(), static_cast<Index>(segments.size()))));
  }
  Arena& arena = record ? record->arena : context.scratch();
  const auto pieces = rules::plan_pieces<Scalar>(segments, layout_.shape, arena);
  const std::span<const Piece> plan(pieces);
  check_capacity(plan);

  const Rows rows = allocate(x.rows(), record != nullptr, arena);
  nn::in_pieces(x.rows(), context, [&](Index first, Index count, Context& own) {
    const auto from = x.rows(first, count);
    const Rows to = rows.rows(first, count);
    nn::linear_forward(parameters.query, from, to.queries, own);
    nn::linear_forward(parameters.key, from, to.keys, own);
    nn::linear_forward(parameters.value, from, to.values, own);
    rotate(plan, first, to, false, own);
  });
  if (record) rules::keep_prior(layout_, pieces, arena);
  rules::store_rows(layout_, pieces, rows, context);
  rules::attend(layout_, plan, rows, context);
  nn::linear_forward(parameters.output, rows.heads, y, context);
  if (record) {
    record->x = x;
    record->rows = rows;
    record->pieces = pieces;
  }
  rules::update_states(layout_, plan, rows, context);
}

template <class Element, AttentionMemory memory>
void BasicAttention<Element, memory>::backward(const Parameters& parameters, const Record& record,
                                               MatrixView<const Scalar> d_y, MatrixView<Scalar> d_x,
                                               Parameters& gradients, std::span<State* const> d_states,
                                               Context& context) const {
  const Arena::Frame frame(context.scratch());
  const std::span<const Piece> plan(record.pieces);
  const Rows& rows = record.rows;
  const Rows d_rows = allocate(rows.queries.rows(), false, context.scratch());
  nn::linear_backward(parameters.output, rows.heads, d_y, d_rows.heads, gradients.output, context);
  rules::attend_backward(layout_, plan, rows, d_rows, d_states, context);

  const nn::LinearBackward query(parameters.query, gradients.query, context);
  const nn::LinearBackward key(parameters.key, gradients.key, context);
  const nn::LinearBackward value(parameters.value, gradients.value, context);
  nn::in_rounds(d_y.rows(), context, [&](Index first, Index count) {
    nn::in_pieces(count, context, [&](Index row, Index size, Context& own) {
      const Index start = first + row;
      const auto d_piece = d_x.empty() ? d_x : d_x.rows(start, size);
      const Rows d = d_rows.rows(start, size);
      rotate(plan, start, d, true, own);
      query.input(d.queries, d_piece, own);
      key.input(d.keys, d_piece, own, kernels::Output::accumulate);
      value.input(d.values, d_piece, own, kernels::Output::accumulate);
    });
    const auto x = record.x.rows(first, count);
    const Rows d = d_rows.rows(first, count);
    nn::WeightSums<Scalar> sums(context);
    query.weight(x, d.queries, sums);
    key.weight(x, d.keys, sums);
    value.weight(x, d.values, sums);
    sums.add_up();
  });
}

TTT_NAMESPACE_END
