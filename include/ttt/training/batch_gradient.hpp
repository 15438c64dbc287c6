// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <span>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/models/language_model.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/training/parameter_groups.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Loss and gradient of a batch of sequences, which falls into shares of whole sequences. Each share goes through the
/// model, forward and backward, on one worker, which waits for no other before the gradients of all shares are added
/// up, in their order; where that would leave workers without a share, all of them split the rows of one share after
/// another.
///
/// Into how many shares a batch falls depends on its size and the model alone, so that the bits of the gradient are
/// those of any number of threads. Few tokens are one share, and so is a batch for a model whose gradients would take
/// too much memory more than once.
template <TrainableLanguageModel Model>
class BatchGradient {
 public:
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;
  using Store = ParameterStore<Parameters>;

  /// For batches of `sequences` with `tokens` each; gradients of what `rules` freeze are not wanted. Throws Error for
  /// fewer than one of either.
  BatchGradient(const Model& model, Index sequences, Index tokens, std::span<const GroupRule> rules) {
    domain::at_least("batch gradient: sequences", 1, sequences);
    domain::at_least("batch gradient: tokens", 1, tokens);
    const Parameters shapes = model.make_parameters();
    const Index room = 1 + most_scalars / std::max<Index>(1, storage_size(shapes));
    const Index shares =
        std::max<Index>(1, std::min({most_shares, room, sequences, sequences * tokens / fewest_tokens}));
    for (Index share = 1; share < shares; ++share)
      unbind_frozen<Parameters>(gradients_.emplace_back(shapes).views(), rules);
    records_.resize(static_cast<std::size_t>(shares));
    losses_.resize(records_.size());
  }
  BatchGradient(const BatchGradient&) = delete;  // a copied store would bind what is frozen
  BatchGradient& operator=(const BatchGradient&) = delete;
  BatchGradient(BatchGradient&&) noexcept = default;
  BatchGradient& operator=(BatchGradient&&) noexcept = default;

  Index shares() const { return static_cast<Index>(losses_.size()); }

  /// Adds the gradient of `scale · Σ losses` to `gradients`, where what is frozen is unbound: ids, targets and segments
  /// as loss_and_backward takes them, but that every segment has a State of its own. Memory is reused by the next call.
  Loss add(const Model& model, const Parameters& parameters, std::span<const std::int64_t> ids,
           std::span<const std::int64_t> targets, std::span<const Segment<State>> segments, double scale,
           Store& gradients, Context& context) {
    const Index all_rows = total_rows(segments);
    ttt::detail::check_ids(ids, all_rows, model.vocabulary());
    ttt::detail::check_targets(targets, all_rows, model.vocabulary());
    const auto begin_of = [&](Index share) {
      return static_cast<std::size_t>(share) * segments.size() / losses_.size();
    };
    const auto work = [&](Index share, typename Model::Record& record, Context& own) {
      Store& sum = share == 0 ? gradients : gradients_[static_cast<std::size_t>(share - 1)];
      if (share > 0) sum.arena().clear();
      const std::size_t first = begin_of(share);
      const auto part = segments.subspan(first, begin_of(share + 1) - first);
      const auto row = static_cast<std::size_t>(total_rows(segments.first(first)));
      const auto rows = static_cast<std::size_t>(total_rows(part));
      const SegmentsFrom statistics(own.statistics, static_cast<Index>(first));
      losses_[static_cast<std::size_t>(share)] =
          model.loss_and_backward(parameters, ids.subspan(row, rows), targets.subspan(row, rows), part, scale,
                                  sum.views(), std::span<State* const>(), record, own);
    };
    if (one_worker_each(all_rows, context))
      context.parallel(shares(), [&](Index share, Arena& arena) {
        Context own = context.alone(arena);
        work(share, records_[static_cast<std::size_t>(share)], own);
      });
    else
      for (Index share = 0; share < shares(); ++share) work(share, records_[0], context);
    add_up(gradients.arena(), context);
    return total();
  }

 private:
  static constexpr Index most_shares = 16;
  static constexpr Index fewest_tokens = 512;            // of a share: adding up its gradient costs what ten tokens do
  static constexpr Index most_scalars = Index{1} << 24;  // of the gradients of all shares

  /// Whether a worker for each share keeps them busier than all of them on the rows of one; not where the context has
  /// what serves one thread only.
  bool one_worker_each(Index rows, const Context& context) const {
    constexpr double waiting = 0.875;
    const auto workers = static_cast<double>(context.workers()), count = static_cast<double>(shares());
    const double busy = count / (std::ceil(count / workers) * workers);
    const double split = std::min(1.0, static_cast<double>(rows) / count / (nn::rows_per_worker * workers));
    return workers > 1 && busy >= waiting * split && !context.statistics && !context.large_products;
  }

  void add_up(Buffer<Scalar>& sum, Context& context) const {
    constexpr Index grain = 16384;
    if (gradients_.empty()) return;
    context.parallel_ranges(sum.size(), grain, [&](Index first, Index count, Arena&) {
      for (const Store& share : gradients_)
        for (Index i = first; i < first + count; ++i) sum[i] += share.arena()[i];
    });
  }

  Loss total() const {
    Loss loss;
    for (const Loss& share : losses_) loss += share;
    return loss;
  }

  std::vector<Store> gradients_;  // of every share but the first, which has the caller's
  std::vector<typename Model::Record> records_;
  std::vector<Loss> losses_;
};

}  // namespace training

TTT_NAMESPACE_END
