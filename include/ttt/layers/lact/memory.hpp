// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>

#include "ttt/layers/lact/layer.hpp"

TTT_NAMESPACE_BEGIN

template <class Element>
Lact<Element>::Lact(const Config& options)
    : Base(options),
      rule_({config_.fast_width(), config_.hidden}, config_.chunk, config_.step),
      heads_{{config_.head_width(), 1, std::max<Index>(1, config_.window)}, config_.heads},
      rotary_(config_.turns() ? std::make_shared<const kernels::RotaryTable<Scalar>>(
                                    config_.head_width(), table_positions, config_.rope_theta)
                              : nullptr) {
  Base::lay_out_state([&](StateLayout& layout) {
    const Index weights = rule_.initial_size(), past = rule_.has_momentum();
    const Index lengths = rule_.state_size() - (2 + past) * weights - past;
    const TokenWrites first{.period = config_.chunk, .by_first = true};  // which ends the chunk before
    layout.add(config_.fast_heads, {{"fast_weights", StateKind::fast_weights, weights, first},
                                    {"momentum", StateKind::fast_weights, past * weights, first},
                                    {"sums", StateKind::open_mini_batch, weights},
                                    {"lengths", StateKind::fast_weights, lengths, first},
                                    {"momentum_sum", StateKind::open_mini_batch, past}});
    if (!attends()) return;
    StateLayout ring(Base::fingerprint_);
    heads_.lay_out_cache(ring, heads_.ring_rows());
    layout.add("attention.", std::make_shared<const StateLayout>(std::move(ring)));
  });
}

template <class Element>
void Lact<Element>::load_initial(const Parameters& parameters, Index head, Scalar* state) const {
  for (const auto& matrix : parameters.fast) {
    matrix.load(head, state);
    state += matrix.size();
  }
  std::fill_n(state, rule_.state_size() - rule_.initial_size(), Scalar(0));
}

template <class Element>
auto Lact<Element>::lay_out(SegmentPlan plan, bool recorded, Arena& memory) const -> Values {
  const Index rows = total_rows(plan), width = config_.width, heads = config_.fast_heads;
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values values;
  values.projected = make(3 * width);
  values.queries = make(width), values.keys = make(width);
  values.values = config_.value_silu ? make(width) : third(values.projected, 2);
  values.rates = make(3 * heads), values.strength = make(heads);
  if (rule_.has_momentum()) values.momentum = make(heads);
  values.inner = make(width), values.mixed = make(width);
  if (recorded) values.records = lay_out_records(rule_, plan, heads, memory);
  if (!attends()) return values;
  values.attention = {make(width), make(width), third(values.projected, 2), make(width), {}};
  if (recorded) values.attention.log_sums = make(config_.heads);
  auto* const pieces = memory.allocate<AttentionPiece<Scalar>>(static_cast<Index>(plan.size()));
  if (pieces) values.pieces = {pieces, plan.size()};
  return values;
}

template <class Element>
auto Lact<Element>::lay_out_gradients(Index rows, Arena& memory) const -> Values {
  const Index width = config_.width, heads = config_.fast_heads;
  const auto make = [&](Index columns) { return memory.matrix<Scalar>(rows, columns); };
  Values d;
  d.projected = make(3 * width);
  d.queries = make(width), d.keys = make(width), d.values = make(width);
  d.rates = make(3 * heads), d.strength = make(heads);
  if (rule_.has_momentum()) d.momentum = make(heads);
  d.inner = make(width), d.mixed = make(width);
  if (attends()) d.attention = {make(width), make(width), make(width), d.mixed, {}};
  return d;
}

TTT_NAMESPACE_END
