// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ttt/core/domain.hpp"
#include "ttt/core/parameters.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// What an optimiser should do with the parameters whose name matches `pattern`. Of several matching rules the last one
/// holds, and alone: rules are not merged.
struct GroupRule {
  std::string pattern;              ///< `*` stands for any characters, dots included, `?` for exactly one
  double learning_rate_factor = 1;  ///< multiplies the learning rate of the step
  std::optional<bool> decay;        ///< unset: as ParameterInfo::decays says
  bool frozen = false;              ///< no gradient, no decay, no change

  friend bool operator==(const GroupRule&, const GroupRule&) = default;
};

/// Whether `name` matches the glob `pattern`.
inline bool matches(std::string_view pattern, std::string_view name) {
  std::size_t p = 0, n = 0, star = std::string_view::npos, resume = 0;
  while (n < name.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = n;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == name[n])) {
      ++p;
      ++n;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      n = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

/// One tensor as the optimiser sees it: a range of the arena and what to do with it.
struct ParameterGroup {
  std::string name;
  Index offset = 0;  ///< first scalar in the arena
  Index size = 0;    ///< scalars of storage, padding of panels included (which is zero and stays so)
  double learning_rate_factor = 1;
  bool decays = false;
  bool frozen = false;
};

namespace detail {

inline void check_rules(std::span<const GroupRule> rules, const std::vector<ParameterGroup>& tensors) {
  for (const GroupRule& rule : rules) {
    domain::not_negative("parameter group '" + rule.pattern + "': learning rate factor", rule.learning_rate_factor);
    const auto matching = [&](const ParameterGroup& tensor) { return matches(rule.pattern, tensor.name); };
    if (std::none_of(tensors.begin(), tensors.end(), matching))
      throw_unexpected("parameter group '" + rule.pattern + "'", "a pattern that matches a parameter",
                       "none among " + std::to_string(tensors.size()) +
                           (tensors.empty() ? "" : " such as '" + tensors.front().name + "'"));
  }
}

inline const GroupRule* rule_for(std::span<const GroupRule> rules, std::string_view name) {
  for (auto rule = rules.rbegin(); rule != rules.rend(); ++rule)
    if (matches(rule->pattern, name)) return &*rule;
  return nullptr;
}

}  // namespace detail

/// The tensors of a parameter store in the order of its visitor, with the rules applied, and their split into slices
/// that may be worked on in parallel. The split does not depend on the number of workers.
class ParameterGroups {
 public:
  /// Part of one tensor.
  struct Slice {
    Index tensor = 0;  ///< index into tensors()
    Index offset = 0;  ///< first scalar in the arena
    Index size = 0;
  };

  ParameterGroups() = default;
  /// Throws Error when a rule matches no parameter, or when a weight is in bfloat16, which no optimiser can change.
  template <class Parameters>
  explicit ParameterGroups(const ParameterStore<Parameters>& store, std::span<const GroupRule> rules = {})
      : arena_size_(store.arena().size()) {
    using Scalar = typename Parameters::Scalar;
    Parameters views = store.views();
    views.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo& info) {
      if (tensor.layout() == Layout::bfloat16_panels)
        throw_unexpected("parameter '" + std::string(name) + "'", "a weight that can be trained", "one in bfloat16");
      tensors_.push_back(
          {std::string(name), tensor.data() - store.arena().data(), tensor.storage_size(), 1, info.decays});
    });
    detail::check_rules(rules, tensors_);
    for (ParameterGroup& tensor : tensors_) {
      if (const GroupRule* rule = detail::rule_for(rules, tensor.name)) {
        tensor.learning_rate_factor = rule->learning_rate_factor;
        tensor.decays = rule->decay.value_or(tensor.decays);
        tensor.frozen = rule->frozen;
      }
    }
    cut();
  }

  const std::vector<ParameterGroup>& tensors() const { return tensors_; }
  /// Slices of every tensor that is not frozen.
  const std::vector<Slice>& slices() const { return slices_; }
  const ParameterGroup& tensor_of(const Slice& slice) const { return tensors_[static_cast<std::size_t>(slice.tensor)]; }
  /// Throws Error, naming `what`, unless `arena` is as long as that of the parameters.
  template <class Scalar>
  void check_arena(const Buffer<Scalar>& arena, const char* what) const {
    if (arena.size() != arena_size_)
      throw_unexpected(std::string("arena of ") + what,
                       std::to_string(arena_size_) + " scalars, as the parameters have", std::to_string(arena.size()));
  }

 private:
  // Long enough that handing out a slice costs nothing, short enough to share one embedding between workers.
  static constexpr Index slice_size = 16384;

  void cut() {
    for (std::size_t t = 0; t < tensors_.size(); ++t) {
      const ParameterGroup& tensor = tensors_[t];
      for (Index first = 0; first < tensor.size && !tensor.frozen; first += slice_size)
        slices_.push_back({static_cast<Index>(t), tensor.offset + first, std::min(slice_size, tensor.size - first)});
    }
  }

  Index arena_size_ = 0;
  std::vector<ParameterGroup> tensors_;
  std::vector<Slice> slices_;
};

/// Unbinds the gradients of the parameters that `rules` freeze, so that no backward computes them.
template <class Parameters>
void unbind_frozen(Parameters& gradients, std::span<const GroupRule> rules) {
  using Scalar = typename Parameters::Scalar;
  gradients.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const GroupRule* rule = detail::rule_for(rules, name);
    if (rule && rule->frozen) tensor.bind(nullptr);
  });
}

}  // namespace training

TTT_NAMESPACE_END
