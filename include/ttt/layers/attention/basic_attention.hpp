// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <limits>
#include <memory>
#include <span>

#include "ttt/core/domain.hpp"
#include "ttt/layers/attention/parameters.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/affine.hpp"
#include "ttt/nn/rms_norm.hpp"
#include "ttt/nn/rotary.hpp"

TTT_NAMESPACE_BEGIN

/// y = concat_h(softmax(q_h k_gᵀ / √D + mask) v_g) W_oᵀ, with q_h = R(norm((x W_qᵀ + b_q)_h)), k_g alike and
/// v_g = (x W_vᵀ + b_v)_g, R being the rotary embedding and g = h · H_kv / H the key/value head of query head h
/// (Vaswani et al. 2017, equation 1; Ainslie et al. 2023, "GQA"; window as in Jiang et al. 2023, "Mistral 7B": query i
/// sees keys j with i − W < j ≤ i; RMS norm of queries and keys as in Yang et al. 2025, "Qwen3"). Biases, norm and R
/// are options.
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
        fingerprint_(kind, {config.width, config.heads, config.key_value_count(),
                            memory == AttentionMemory::ring ? config.window : 0, config.head_width(), config.bias,
                            config.query_key_norm}),
        layout_{{config.head_width(), config.heads / config.key_value_count(),
                 memory == AttentionMemory::ring ? config.window : rules::unlimited_window},
                config.key_value_count()},
        rotary_(config.rotary ? std::make_shared<const kernels::RotaryTable<Scalar>>(
                                    config.head_width(), table_positions, config.rope_theta, config.rotary_scaling)
                              : nullptr) {}

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const { return Parameters(config_, fingerprint_); }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.query.empty();
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.layer == fingerprint_; }

  /// An empty cache: for `capacity` tokens, more are refused with an Error; a ring has `window` rows, in
  /// whole panels, whatever `capacity`.
  State initial_state(const Parameters&, Index capacity) const {
    if (memory == AttentionMemory::growing && capacity != 0) domain::size("attention: capacity of a State", capacity);
    return {0, Buffer<Scalar>(state_size(capacity)), fingerprint_};
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    state.wipe();
    state.position = 0;
  }
  bool accepts(const State& state) const {
    return state.layer == fingerprint_ && (memory == AttentionMemory::growing || state.values.size() == state_size(0));
  }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }
  /// Tokens that `state` has room for; a ring never fills.
  Index capacity(const State& state) const {
    return memory == AttentionMemory::ring ? std::numeric_limits<Index>::max() : layout_.cache(state).rows();
  }
  /// Bytes of the keys and values of a State.
  std::size_t state_bytes(Index capacity) const {
    return static_cast<std::size_t>(state_size(capacity)) * sizeof(Scalar);
  }
  /// Bytes a Record takes for one sequence of `tokens` from its beginning; one that continues also keeps the keys and
  /// values it still sees of the time before.
  std::size_t record_bytes(Index tokens) const {
    return static_cast<std::size_t>(Arena::count([&](Arena& arena) { lay_out(tokens, 1, true, arena); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const;

 private:
  using Call = AttentionCall<Scalar>;
  using Rows = AttentionRows<Scalar>;
  using Piece = AttentionPiece<Scalar>;

  /// Positions whose angles are looked up; further ones are computed, a few percent of what their attention costs.
  static constexpr Index table_positions = 4096;

  static constexpr const char* kind = memory == AttentionMemory::ring ? "sliding-window attention" : "attention";

  static void check(const Config& config);
  Index state_size(Index capacity) const {
    const Index rows = memory == AttentionMemory::ring ? rules::panel_end(config_.window) : capacity;
    return rules::KeyValueCache<Scalar>::size(rows, config_.key_value_count(), config_.head_width());
  }
  Rows allocate_rows(Index rows, bool recorded, Arena& arena) const;
  Call lay_out(Index rows, std::size_t segments, bool recorded, Arena& arena) const;
  /// All heads of rows of a call as rows of their own.
  MatrixView<Scalar> by_head(MatrixView<Scalar> rows) const {
    const Index width = config_.head_width();
    return {rows.data(), rows.rows() * rows.columns() / width, width};
  }
  void project(const Parameters& parameters, const Call& call, Index first, Index count, Context& context) const;
  void backward_norms(const Parameters& parameters, const Record& record, Index first, const Rows& d,
                      Parameters& gradients, Context& context) const;
  /// Queries and keys by the angles of their positions, or their gradients back.
  void rotate(SegmentPlan plan, Index start, const Rows& rows, kernels::RotaryTurn turn, Context& context) const {
    if (!config_.rotary) return;
    nn::rotate_rows<Scalar>({*rotary_, config_.rotary_pairs}, turn, plan, start, {rows.queries, rows.keys}, context);
  }

  Config config_;
  Fingerprint fingerprint_;
  AttentionHeads layout_;
  std::shared_ptr<const kernels::RotaryTable<Scalar>> rotary_;  // null: no rotary; never changes, so copies share it
};

TTT_NAMESPACE_END

#include "ttt/layers/attention/backward.hpp"
#include "ttt/layers/attention/forward.hpp"
