// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/fingerprint.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/nn/gated_output.hpp"
#include "ttt/nn/initial_matrix.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/short_convolution.hpp"
#include "ttt/rules/ttt/sequence.hpp"

TTT_NAMESPACE_BEGIN

/// Configuration of a TTT layer; the defaults are those of the published transformer backbone.
struct TttConfig {
  Index width = 0;                             ///< C
  Index heads = 0;                             ///< H, divides C; the head width D = C / H must be even
  Index mini_batch = 16;                       ///< K, tokens per inner gradient step
  std::optional<double> base_learning_rate{};  ///< of the inner loop; default: the rule's published one
  double rope_theta = 10000;                   ///< rotary base; positions count modulo K
  bool gate = false;                           ///< output gate gelu(x W_g), as in the mamba backbone
  bool share_query_key = false;                ///< one projection for q and k, told apart by two temporal convolutions
  Index conv_taps = 4;                         ///< taps of those convolutions
  double norm_epsilon = 1e-6;                  ///< of the inner layer norm and the output norm
  rules::TttOrder order = rules::TttOrder::token_inclusive;  ///< which weights answer, and what
  Index initial_rank = 0;       ///< r of W₀ = A R + c I per head, at most D; 0: W₀ is a tensor of its own
  double initial_identity = 0;  ///< c of that
  rules::TttForm form = rules::TttForm::dual;  ///< of the forward pass; both compute the same
  Index checkpoint_interval = 4;               ///< mini-batches between fast weights kept for the backward pass

  /// All but the width and how it is computed, for those who list options.
  template <class Visitor>
  void visit(Visitor&& option) {
    option("heads", heads, "heads");
    option("mini_batch", mini_batch, "tokens of an inner gradient step");
    option("base_learning_rate", base_learning_rate, "of the inner loop");
    option("rope_theta", rope_theta, "base of the rotary embedding");
    option("gate", gate, "whether there is an output gate");
    option("share_query_key", share_query_key, "one projection for queries and keys, told apart by convolutions");
    option("conv_taps", conv_taps, "taps of those convolutions");
    option("norm_epsilon", norm_epsilon, "of the inner layer norm and the output norm");
    option("order", order, "answers see their own token, their mini-batch's start, or are its predictions");
    option("initial_rank", initial_rank, "of the initial fast weights; 0: full");
    option("initial_identity", initial_identity, "multiple of the identity that is added to those of low rank");
  }
  bool has_queries() const { return order != rules::TttOrder::simplified; }
  friend bool operator==(const TttConfig&, const TttConfig&) = default;
};

namespace detail {

/// Options that mean something beside others only.
inline void check_ttt_variant(const std::string& layer, const TttConfig& config) {
  if (config.share_query_key && !config.has_queries())
    throw_unexpected(layer + "share_query_key", "false, as the simplified order has no queries", "true");
  const Index head_width = config.width / config.heads;
  domain::at_least(layer + "initial_rank", 0, config.initial_rank);
  if (config.initial_rank > head_width)
    throw_unexpected(layer + "initial_rank", "at most the head width = " + std::to_string(head_width),
                     std::to_string(config.initial_rank));
  domain::not_negative_float(layer + "initial_identity", config.initial_identity);
  if (config.initial_identity != 0 && config.initial_rank == 0)
    throw_unexpected(layer + "initial_identity", "0, as there is no initial_rank",
                     domain::text(config.initial_identity));
}

}  // namespace detail

/// Throws Error when `config` makes no layer, naming the option.
inline void check(const TttConfig& config) {
  const std::string layer = "TTT layer: ";
  domain::size(layer + "width", config.width);
  domain::size(layer + "heads", config.heads);
  if (config.width % config.heads != 0)
    throw_unexpected(layer + "width", "a multiple of heads = " + std::to_string(config.heads),
                     std::to_string(config.width));
  if (config.width / config.heads % 2 != 0)
    throw_unexpected(layer + "head width", "an even number, for the rotary embedding",
                     std::to_string(config.width / config.heads));
  domain::size(layer + "mini_batch", config.mini_batch);
  if (config.share_query_key) domain::size(layer + "conv_taps", config.conv_taps);
  domain::size(layer + "checkpoint_interval", config.checkpoint_interval);
  if (config.base_learning_rate) domain::not_negative_float(layer + "base_learning_rate", *config.base_learning_rate);
  domain::positive_float(layer + "rope_theta", config.rope_theta);
  domain::positive_float(layer + "norm_epsilon", config.norm_epsilon);
  detail::check_ttt_variant(layer, config);
}

/// LN(z) ∘ gelu(gate), or LN(z).
inline nn::GatedOutputConfig gated_output(const TttConfig& config) {
  return {nn::NormKind::layer, config.width, false, kernels::Activation::gelu, false, config.norm_epsilon};
}

/// Weights of a TTT layer under their published names; what the configuration leaves out has an empty shape and is not
/// visited.
template <class Element>
struct TttParameters {
  using Scalar = Element;

  Tensor<Scalar> query, key, value, output, gate;  ///< projections [C × C]; a shared `query` makes k, too
  nn::ShortConvolutionParameters<Scalar> conv_query, conv_key;
  Tensor<Scalar> rate_weight, rate_bias;  ///< inner learning rate gate, [H × 1 × C] and [H × 1]
  Tensor<Scalar> position;                ///< learned addition to the position factors 1/r, [K]
  Tensor<Scalar> norm_weight, norm_bias;  ///< inner layer norm per head, [H × D]
  nn::GatedOutputParameters<Scalar> post_norm;
  std::vector<nn::InitialMatrix<Scalar>> fast;  ///< W₀ and b₀ of the rule
  bool share_query_key = false;
  Fingerprint layer;  ///< that they are of

  TttParameters() = default;
  template <class Rule>
  TttParameters(const TttConfig& config, const Rule& rule, Fingerprint of);

  void visit(ParameterVisitor<Scalar> visitor) {
    if (has_queries()) visitor("q_proj.weight", query, parameter::projection);
    if (!share_query_key) visitor("k_proj.weight", key, parameter::projection);
    visitor("v_proj.weight", value, parameter::projection);
    visitor("o_proj.weight", output, parameter::projection);
    if (has_gate()) visitor("g_proj.weight", gate, parameter::projection);
    if (share_query_key) {
      visit_nested(visitor, "conv_q.", conv_query);
      visit_nested(visitor, "conv_k.", conv_key);
    }
    visitor("learnable_ttt_lr_weight", rate_weight, parameter::fast_weight);
    visitor("learnable_ttt_lr_bias", rate_bias, parameter::zero);
    visitor("learnable_token_idx", position, parameter::zero);
    visitor("ttt_norm_weight", norm_weight, parameter::one);
    visitor("ttt_norm_bias", norm_bias, parameter::zero);
    visit_nested(visitor, "post_norm.", post_norm);
    for (auto& weight : fast) weight.visit(visitor);
  }
  bool has_queries() const { return query.shape().rank() > 0; }
  bool has_gate() const { return gate.shape().rank() > 0; }
};

template <class Element>
template <class Rule>
TttParameters<Element>::TttParameters(const TttConfig& config, const Rule& rule, Fingerprint of)
    : value(nn::make_weight<Element>(config.width, config.width)),
      output(value),
      conv_query(config.width, config.conv_taps),
      conv_key(config.width, config.conv_taps),
      rate_weight({config.heads, 1, config.width}, Layout::panels),
      rate_bias(Shape{config.heads, 1}),
      position(Shape{config.mini_batch}),
      norm_weight(Shape{config.heads, rule.head_width()}),
      norm_bias(norm_weight),
      post_norm(gated_output(config), config.width),
      share_query_key(config.share_query_key),
      layer(of) {
  if (config.has_queries()) query = value;
  if (!share_query_key) key = value;
  if (config.gate) gate = value;
  for (const auto& [name, shape, info] : rule.fast_weights(config.heads))  // biases are as published
    fast.emplace_back(name, shape, info, shape[1] > 1 ? config.initial_rank : 0, config.initial_identity,
                      nn::InitialPlace::as_it_is);
}

TTT_NAMESPACE_END
