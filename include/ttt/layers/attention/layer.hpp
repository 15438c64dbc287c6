// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
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
/// (Vaswani et al. 2017, equation 1; Ainslie et al. 2023, "GQA"; RMS norm of queries and keys as in Yang et al. 2025,
/// "Qwen3"). Biases, norm, R and a gate of what the heads say, σ(x W_gᵀ) ∘ heads, are options.
///
/// Query i sees the keys j ≤ i with j > i − W or j < S: everything without a window; the last W (Jiang et al. 2023,
/// "Mistral 7B"); these and the first S, which much attention goes to whatever they are (Xiao et al. 2024, "Efficient
/// streaming language models with attention sinks"). R turns sinks by their positions in the sequence, too; there, by
/// those in the cache. The memory is another option: what is visible has the same bits in both.
///
/// The bits of a row of y depend on its own sequence and not on how that is cut into calls.
template <class Element>
class Attention {
 public:
  using Scalar = Element;
  using Config = AttentionConfig;
  using Parameters = AttentionParameters<Scalar>;
  using State = ttt::State<Scalar>;
  using Record = AttentionRecord<Scalar>;
  using Segments = std::span<const Segment<State>>;

  /// Throws Error for a configuration that makes no layer.
  explicit Attention(const Config& config)
      : config_((check(config), config)),
        fingerprint_(kind, {config.width, config.heads, config.key_value_count(), config.window, config.sinks,
                            static_cast<Index>(config.memory), config.head_width(), config.bias, config.query_key_norm,
                            config.whole_norm, config.output_gate}),
        layout_{{config.head_width(), config.heads / config.key_value_count(),
                 config.window == 0 ? rules::unlimited_window : config.window, config.sinks, config.score_scale},
                config.key_value_count(),
                config.memory == AttentionMemory::ring ? config.sinks : 0},
        rotary_(config.rotary ? std::make_shared<const kernels::RotaryTable<Scalar>>(
                                    config.rotary_width(), table_positions, config.rope_theta, config.rotary_scaling)
                              : nullptr) {}

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const { return Parameters(config_, fingerprint_); }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.query.empty();
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.layer == fingerprint_; }

  /// "keys" and "values" of `capacity` tokens, a row for each head; a ring has those of the sinks, then those of the
  /// window, both in whole panels, whatever `capacity`, and never fills. No State has more tokens than the rotary
  /// embedding has positions.
  std::shared_ptr<const StateLayout> state_layout(Index capacity) const;
  /// An empty cache: for `capacity` tokens, more are refused with an Error.
  State initial_state(const Parameters&, Index capacity) const {
    State state(state_layout(capacity));
    state.position = 0;
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    state.wipe();
    state.position = 0;
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }
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

  /// Rows of a task that gates.
  static constexpr Index gate_grain = 16;

  static constexpr const char* kind = "attention";

  static void check(const Config& config);
  Rows allocate_rows(Index rows, bool recorded, Arena& arena) const;
  Call lay_out(Index rows, std::size_t segments, bool recorded, Arena& arena) const;
  /// All heads of rows of a call as rows of their own.
  MatrixView<Scalar> by_head(MatrixView<Scalar> rows) const {
    const Index width = config_.head_width();
    return {rows.data(), rows.rows() * rows.columns() / width, width};
  }
  /// What is normed at once, as rows of their own: heads, or whole rows.
  MatrixView<Scalar> normed_rows(MatrixView<Scalar> rows) const { return config_.whole_norm ? rows : by_head(rows); }
  /// Queries and gates among what W_q gives, which has them in turn.
  MatrixView<Scalar> queries_of(MatrixView<Scalar> projected) const {
    const Index width = config_.head_width();
    return config_.output_gate
               ? MatrixView<Scalar>(projected.data(), projected.rows() * config_.heads, width, 2 * width)
               : normed_rows(projected);
  }
  MatrixView<Scalar> gates_of(MatrixView<Scalar> projected) const {
    const Index width = config_.head_width();
    return {projected.data() + width, projected.rows() * config_.heads, width, 2 * width};
  }
  MatrixView<Scalar> gate(const Call& call, Context& context) const;
  void project(const Parameters& parameters, const Call& call, Index first, Index count, Context& context) const;
  void backward_gate(const Record& record, MatrixView<Scalar> d_heads, MatrixView<Scalar> d_projected,
                     Context& context) const;
  void backward_norms(const Parameters& parameters, const Record& record, Index first, const Rows& d,
                      MatrixView<Scalar> d_projected, Parameters& gradients, Context& context) const;
  /// Queries and keys by the angles of their positions, or their gradients back.
  void rotate(SegmentPlan plan, Index start, const Rows& rows, kernels::RotaryTurn turn, Context& context) const {
    if (!config_.rotary) return;
    const Index partly = config_.rotary_channels == 0 ? 0 : config_.head_width();
    nn::rotate_rows<Scalar>({*rotary_, config_.rotary_pairs, 0, partly}, turn, plan, start, {rows.queries, rows.keys},
                            context);
  }

  Config config_;
  Fingerprint fingerprint_;
  AttentionHeads layout_;
  std::shared_ptr<const kernels::RotaryTable<Scalar>> rotary_;  // null: no rotary; never changes, so copies share it
};

TTT_NAMESPACE_END

#include "ttt/layers/attention/backward.hpp"
#include "ttt/layers/attention/forward.hpp"
