// SPDX-License-Identifier: MIT
/// @file
/// The least type that models SequenceRule: what generic code uses beyond the concept does not compile with it.
#pragma once

#include "ttt/rules/sequence_rule.hpp"

namespace ttt::testing {

/// The running sum y_t = s_t = s_{t−1} + scale · x_t of one channel, whose first state is learned.
class RuleArchetype {
 public:
  template <class Element>
  class Shared {
   public:
    Shared() = default;

   private:
    friend RuleArchetype;
    Element* scale_ = nullptr;
  };
  template <class Element>
  class Rows {
   public:
    Rows() = default;
    Rows rows(Index first, Index count) const { return Rows(x_.rows(first, count)); }

   private:
    friend RuleArchetype;
    explicit Rows(MatrixView<Element> x) : x_(x) {}
    MatrixView<Element> x_;
  };
  class Record {
   public:
    Record() = default;
  };

  using Scalar = double;
  using Input = rules::RuleInput<Shared<const double>, Rows<const double>>;
  using InputGradient = rules::RuleInput<Shared<double>, Rows<double>>;

  static RuleArchetype make() { return {}; }
  static Input input(const double& scale, MatrixView<const double> x) {
    Input input;
    input.shared.scale_ = &scale;
    input.rows = Rows<const double>(x);
    return input;
  }
  static Rows<double> rows(MatrixView<double> x) { return Rows<double>(x); }

  Index state_size() const { return 1; }
  Index initial_size() const { return 1; }
  Index shared_size() const { return 1; }
  Index token_work() const { return 1; }
  Shared<double> shared_gradient(double* data) const {
    Shared<double> shared;
    shared.scale_ = data;
    return shared;
  }
  Record record(std::int64_t, Index, Arena&) const { return {}; }

  template <class Arch>
  void forward(const Input& input, double* state, MatrixView<double> out, const Record&, Arena&) const {
    for (Index t = 0; t < out.rows(); ++t) out(t, 0) = *state += *input.shared.scale_ * input.rows.x_(t, 0);
  }
  template <class Arch>
  void primal(const Input& input, double* state, MatrixView<double> out, Arena& scratch) const {
    forward<Arch>(input, state, out, {}, scratch);
  }
  template <class Arch>
  void backward(const Input& input, const Record&, MatrixView<const double> d_out, double* d_state,
                const InputGradient& d_input, Arena&) const {
    for (Index t = d_out.rows() - 1; t >= 0; --t) {
      *d_state += d_out(t, 0);
      d_input.rows.x_(t, 0) = *input.shared.scale_ * *d_state;
      *d_input.shared.scale_ += input.rows.x_(t, 0) * *d_state;
    }
  }

 private:
  RuleArchetype() = default;
};

static_assert(rules::SequenceRule<RuleArchetype> && !rules::TabledRule<RuleArchetype>);

}  // namespace ttt::testing
