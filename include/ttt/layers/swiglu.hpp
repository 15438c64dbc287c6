// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/lent_states.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/swiglu.hpp"

TTT_NAMESPACE_BEGIN

struct SwigluConfig {
  Index width = 0;   ///< C
  Index hidden = 0;  ///< F
};

/// y = W_down (silu(W_gate x) ∘ W_up x) on every row: the gated MLP of the llama family (Shazeer 2020, "GLU variants
/// improve transformer", arXiv 2002.05202, equation 6), a SequenceLayer whose State holds nothing.
template <class Element>
class Swiglu {
 public:
  using Scalar = Element;
  using Config = SwigluConfig;
  using State = ttt::State<Scalar>;
  using Segments = std::span<const Segment<State>>;

  struct Parameters : nn::SwigluParameters<Scalar> {
    Fingerprint layer{};  ///< that they are of
  };

  struct Record {
    RecordedCall call;
    MatrixView<const Scalar> x;
    Arena memory;
    nn::SwigluRecord<Scalar> values;
  };

  /// Throws Error, naming `name`, for sizes that make no layer.
  explicit Swiglu(const Config& config, const std::string& name = "SwiGLU")
      : config_(config), fingerprint_("swiglu", {config.width, config.hidden}) {
    domain::size(name + ": width", config.width);
    domain::size(name + ": hidden width of the MLP", config.hidden);
    state_layout_ = std::make_shared<const StateLayout>(fingerprint_);
  }

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const { return {{config_.width, config_.hidden}, fingerprint_}; }
  std::shared_ptr<const StateLayout> state_layout([[maybe_unused]] Index capacity = 0) const { return state_layout_; }
  State initial_state(const Parameters& parameters, [[maybe_unused]] Index capacity = 0) const {
    State state(state_layout_);
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(kind, *this, parameters, state);
    state.position = 0;
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.gate_proj.empty();
  }
  bool accepts_gradients(const Parameters& gradients) const { return gradients.layer == fingerprint_; }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }
  std::size_t record_bytes(Index tokens) const {
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(tokens, memory); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const {
    detail::check_forward<Swiglu>(kind, *this, parameters, x, segments, y, context.scratch());
    if (record) {
      record->call.begin(segments);
      record->x = x;
      record->values = record->memory.lay_out_anew([&](Arena& memory) { return lay_out(x.rows(), memory); });
    }
    nn::swiglu_forward<Scalar>(parameters, x, y, context, record ? &record->values : nullptr);
    advance_positions(segments);
    if (record) record->call.end(fingerprint_);
  }
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    detail::check_backward(kind, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
    nn::swiglu_backward<Scalar>(parameters, record.values, record.x, d_y, d_x, gradients, context);
  }

 private:
  static constexpr const char* kind = "SwiGLU";

  nn::SwigluRecord<Scalar> lay_out(Index rows, Arena& memory) const { return {memory, rows, config_.hidden}; }

  Config config_;
  Fingerprint fingerprint_;
  std::shared_ptr<const StateLayout> state_layout_;
};

TTT_NAMESPACE_END
