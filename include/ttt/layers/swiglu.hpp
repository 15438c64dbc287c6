// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>

#include "ttt/core/domain.hpp"
#include "ttt/core/lent_states.hpp"
#include "ttt/layers/fixed_state_layer.hpp"
#include "ttt/nn/swiglu.hpp"

TTT_NAMESPACE_BEGIN

struct SwigluConfig {
  Index width = 0;                                             ///< C
  Index hidden = 0;                                            ///< F
  kernels::Activation activation = kernels::Activation::silu;  ///< a: silu, or gelu (GeGLU)
};

/// y = W_down (a(W_gate x) ∘ W_up x) on every row, a being silu unless another activation is asked for: the gated MLP
/// of the llama family (Shazeer 2020, "GLU variants improve transformer", arXiv 2002.05202, equation 6), a
/// SequenceLayer whose State holds nothing.
template <class Element>
class Swiglu : public FixedStateLayer<Swiglu<Element>, Element> {
  using Base = FixedStateLayer<Swiglu, Element>;

 public:
  static constexpr const char* name = "SwiGLU";
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

  /// Throws Error, naming it as `called`, for sizes that make no layer.
  explicit Swiglu(const Config& config, const std::string& called = name)
      : Base(Fingerprint("swiglu", {config.width, config.hidden})), config_(config) {
    domain::size(called + ": width", config.width);
    domain::size(called + ": hidden width of the MLP", config.hidden);
    Base::lay_out_state([](StateLayout&) {});
  }

  const Config& config() const { return config_; }
  Index width() const { return config_.width; }
  Parameters make_parameters() const { return {{config_.width, config_.hidden, config_.activation}, fingerprint_}; }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.gate_proj.empty();
  }
  using Base::accepts;
  std::size_t record_bytes(Index tokens) const {
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(tokens, memory); }));
  }

  void forward(const Parameters& parameters, MatrixView<const Scalar> x, Segments segments, MatrixView<Scalar> y,
               Context& context, Record* record = nullptr) const {
    detail::check_forward<Swiglu>(name, *this, parameters, x, segments, y, context.scratch());
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
    detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
    nn::swiglu_backward<Scalar>(parameters, record.values, record.x, d_y, d_x, gradients, context);
  }

 private:
  using Base::fingerprint_;

  nn::SwigluRecord<Scalar> lay_out(Index rows, Arena& memory) const { return {memory, rows, config_.hidden}; }

  Config config_;
};

TTT_NAMESPACE_END
