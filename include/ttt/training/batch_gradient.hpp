// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "ttt/models/language_model.hpp"
#include "ttt/training/parameter_groups.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

namespace detail {

/// While it lives, statistics of a call on the segments from `first` on name them as the whole batch does.
class SegmentsFrom final : public StatisticsSink {
 public:
  SegmentsFrom(Context& context, Index first) : context_(context), all_(context.statistics), first_(first) {
    if (all_) context_.statistics = this;
  }
  SegmentsFrom(const SegmentsFrom&) = delete;
  SegmentsFrom& operator=(const SegmentsFrom&) = delete;
  ~SegmentsFrom() override { context_.statistics = all_; }

  void inner_loss(const InnerLoss& loss) override {
    InnerLoss named = loss;
    named.segment += first_;
    all_->inner_loss(named);
  }

 private:
  Context& context_;
  StatisticsSink* all_;
  Index first_;
};

}  // namespace detail

/// Loss and gradient of a batch of sequences, which falls into shares of whole sequences. Each share goes through the
/// model, forward and backward, on one worker, which waits for no other before the gradients of all shares are added
/// up, in their order.
///
/// Into how many shares a batch falls depends on its size and the model alone, so that the bits of the gradient are
/// those of any number of threads. A batch of few tokens is one share, and so is one for a model so large that a
/// gradient for each share would be too much memory; workers then split the rows of every step.
template <TrainableLanguageModel Model>
class BatchGradient {
 public:
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;

  /// For batches of `sequences` with `tokens` each; gradients of what `rules` freeze are not wanted.
  BatchGradient(const Model& model, Index sequences, Index tokens, std::span<const GroupRule> rules) {
    ParameterStore<Parameters> gradient(model.make_parameters());
    const bool small = gradient.arena().size() <= largest_model;
    const Index shares = small ? std::min({most_shares, sequences, sequences * tokens / fewest_tokens}) : 1;
    for (Index share = 1; share < shares; ++share) {
      gradients_.push_back(gradient);
      unbind_frozen<Parameters>(gradients_.back().views(), rules);
    }
    records_.resize(gradients_.size() + 1);
    losses_.resize(records_.size());
  }

  Index shares() const { return static_cast<Index>(records_.size()); }

  /// Adds the gradient of `scale · Σ losses` to `gradients`: ids, targets and segments as loss_and_backward takes them,
  /// but that every segment has a State of its own. Its memory is reused by the next call.
  Loss add(const Model& model, const Parameters& parameters, std::span<const std::int64_t> ids,
           std::span<const std::int64_t> targets, std::span<const Segment<State>> segments, double scale,
           ParameterStore<Parameters>& gradients, Context& context) {
    const auto work = [&](Index index, Context& own) {
      const auto share = static_cast<std::size_t>(index);
      const std::size_t first = share * segments.size() / records_.size();
      const auto part = segments.subspan(first, (share + 1) * segments.size() / records_.size() - first);
      const auto row = static_cast<std::size_t>(total_rows(segments.first(first)));
      const auto rows = static_cast<std::size_t>(total_rows(part));
      ParameterStore<Parameters>& sum = index == 0 ? gradients : gradients_[share - 1];
      if (index > 0) sum.arena().clear();
      const detail::SegmentsFrom statistics(own, static_cast<Index>(first));
      losses_[share] = model.loss_and_backward(parameters, ids.subspan(row, rows), targets.subspan(row, rows), part,
                                               scale, sum.views(), std::span<State* const>(), records_[share], own);
    };
    if (keeps_busy(context))
      context.parallel(shares(), [&](Index share, Arena& arena) {
        Context own = context.alone(arena);
        work(share, own);
      });
    else
      for (Index share = 0; share < shares(); ++share) work(share, context);
    add_up(gradients.arena(), context);
    return total();
  }

 private:
  static constexpr Index most_shares = 8;
  static constexpr Index fewest_tokens = 1024;            // of a share: adding up its gradient costs what ten tokens do
  static constexpr Index largest_model = Index{1} << 22;  // in scalars; beyond, workers seldom wait for one another

  /// Whether shares keep all workers busy nearly all the time, and the context has nothing that serves one thread only.
  bool keeps_busy(const Context& context) const {
    const Index workers = context.workers(), rounds = (shares() + workers - 1) / workers;
    return workers > 1 && 8 * shares() >= 7 * rounds * workers && !context.statistics && !context.large_products;
  }

  void add_up(Buffer<Scalar>& sum, Context& context) const {
    constexpr Index grain = 16384;
    if (gradients_.empty()) return;
    context.parallel_ranges(sum.size(), grain, [&](Index first, Index count, Arena&) {
      for (const auto& share : gradients_)
        for (Index i = first; i < first + count; ++i) sum[i] += share.arena()[i];
    });
  }

  Loss total() const {
    Loss loss;
    for (const Loss& share : losses_) {
      loss.sum += share.sum;
      loss.rows += share.rows;
    }
    return loss;
  }

  std::vector<ParameterStore<Parameters>> gradients_;  // of every share but the first, which has the caller's
  std::vector<typename Model::Record> records_;
  std::vector<Loss> losses_;
};

}  // namespace training

TTT_NAMESPACE_END
