// SPDX-License-Identifier: MIT
#pragma once

#include <span>
#include <string>

#include "ttt/core/domain.hpp"
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
class Swiglu : public FixedStateLayer<Swiglu<Element>, Element, SwigluConfig> {
  using Base = FixedStateLayer<Swiglu, Element, SwigluConfig>;

 public:
  static constexpr const char* name = "SwiGLU";
  using Scalar = Element;
  using Config = SwigluConfig;
  using State = ttt::State<Scalar>;

  struct Parameters : nn::SwigluParameters<Scalar> {
    Fingerprint layer{};  ///< that they are of
  };

  using Values = nn::SwigluRecord<Scalar>;  ///< for a backward only
  using Record = LayerRecord<Scalar, Values>;

  /// Throws Error, naming it as `called`, for sizes that make no layer.
  explicit Swiglu(const Config& config, const std::string& called = name)
      : Base(config, Fingerprint("swiglu", {config.width, config.hidden})) {
    domain::size(called + ": width", config.width);
    domain::size(called + ": hidden width of the MLP", config.hidden);
    Base::lay_out_state([](StateLayout&) {});
  }

  Parameters make_parameters() const {
    return {{config_.width, config_.hidden, config_.activation}, Base::fingerprint_};
  }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == Base::fingerprint_ && !parameters.gate_proj.empty();
  }
  using Base::accepts;
  void backward(const Parameters& parameters, const Record& record, MatrixView<const Scalar> d_y,
                MatrixView<Scalar> d_x, Parameters& gradients, std::span<State* const> d_states,
                Context& context) const {
    detail::check_backward(name, *this, parameters, record, d_y, d_x, gradients, d_states, context.scratch());
    nn::swiglu_backward<Scalar>(parameters, record.values, record.x, d_y, d_x, gradients, context);
  }

 private:
  friend Base;
  using Base::config_;

  Values lay_out(SegmentPlan plan, bool recorded, Arena& memory) const {
    return recorded ? Values(memory, total_rows(plan), config_.hidden) : Values();
  }
  void run(const Parameters& parameters, const LayerCall<Scalar>& call, Values& values, Context& context) const {
    nn::swiglu_forward<Scalar>(parameters, call.x, call.y, context, call.memory ? &values : nullptr);
  }
};

TTT_NAMESPACE_END
