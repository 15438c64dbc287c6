// SPDX-License-Identifier: MIT
#pragma once

#include <array>
#include <span>
#include <string>

#include "ttt/layers/delta_layer/design.hpp"
#include "ttt/nn/decay.hpp"
#include "ttt/nn/low_rank.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

/// The weights of a DeltaLayer, those that its design has, under its names.
template <class Element>
struct DeltaParameters {
  using Scalar = Element;

  /// A map of x and its convolution: all of q | k | v, or one of them.
  struct Stream {
    Tensor<Scalar> map;
    nn::ShortConvolutionParameters<Scalar> conv;

    Index columns() const { return map.shape()[0]; }
  };
  std::array<Stream, 3> all_streams;
  std::size_t stream_count = 0;
  Tensor<Scalar> rate;                            ///< W_b [H × C]
  nn::LowRankParameters<Scalar> decay_map, gate;  ///< W_a [decays × C], W_z [H · V × C]
  nn::DecayParameters<Scalar> decay;              ///< of step widths
  nn::GatedOutputParameters<Scalar> norm;
  Tensor<Scalar> output;  ///< W_o [C × H · V]
  DeltaNames names{};
  Fingerprint layer{};  ///< that they are of

  DeltaParameters() = default;
  DeltaParameters(const DeltaDesign& design, bool has_rates, Fingerprint of)
      : norm(design.output(), design.values()),
        output(nn::make_weight<Scalar>(design.width, design.values())),
        names(design.names),
        layer(of) {
    const auto add_stream = [&](Index columns) {
      Stream& stream = all_streams[stream_count++];
      stream.map = nn::make_weight<Scalar>(columns, design.width);
      if (design.conv_taps > 0) stream.conv = {columns, design.conv_taps, false, kernels::Activation::silu};
    };
    if (names.maps[1] == nullptr)
      add_stream(design.mixed_width());
    else
      for (const Index columns : {design.keys(), design.keys(), design.values()}) add_stream(columns);
    if (design.has_gate) gate = {design.width, design.values(), design.gate_rank, true};
    if (has_rates) rate = nn::make_weight<Scalar>(design.value_heads, design.width);
    if (design.decay == DeltaGate::none) return;
    // The bias of step widths is of those themselves.
    const bool steps = design.decay == DeltaGate::step_width;
    decay_map = {design.width, design.decays(), design.decay_rank, !steps};
    if (steps) decay = {design.value_heads, design.decays()};
  }

  std::span<Stream> streams() { return {all_streams.data(), stream_count}; }
  std::span<const Stream> streams() const { return {all_streams.data(), stream_count}; }

  void visit(ParameterVisitor<Scalar> visitor) {
    const auto there = [](const Tensor<Scalar>& tensor) { return tensor.shape().rank() > 0; };
    const auto weight = [&](const char* name, Tensor<Scalar>& tensor) {
      if (there(tensor)) visitor(std::string(name) + "weight", tensor, parameter::projection);
    };
    for (std::size_t i = 0; i < stream_count; ++i) weight(names.maps[i], all_streams[i].map);
    for (std::size_t i = 0; i < stream_count; ++i)
      if (auto& conv = all_streams[i].conv; there(conv.weight)) visit_nested(visitor, names.convolutions[i], conv);
    if (there(gate.first)) visit_nested(visitor, names.gate, gate);
    weight(names.rate, rate);
    if (there(decay_map.first)) visit_nested(visitor, names.decay, decay_map);
    if (there(decay.bias)) decay.visit(visitor);
    visit_nested(visitor, names.norm, norm);
    weight(names.output, output);
  }
};

TTT_NAMESPACE_END
