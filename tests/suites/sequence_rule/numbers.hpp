// SPDX-License-Identifier: MIT
/// @file
/// Random numbers for any rule, and the rule behind one face for all, so that the suite is compiled once.
#pragma once

#include <any>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>

#include "support/allocation_hook.hpp"
#include "support/compare.hpp"
#include "support/random_matrix.hpp"
#include "ttt/rules/sequence_rule.hpp"

namespace ttt::suites {

/// Columns that a rule reads of every token, or a row that all of them share.
struct RuleColumns {
  std::string name;
  Index columns = 1;
  double scale = 1;     ///< standard deviation
  int sign = 0;         ///< of all numbers, if it is not 0
  bool decays = false;  ///< its strength is how much a step forgets
  bool waits = false;   ///< reaches outputs from the next chunk on only
};

/// What a rule reads, or the gradients of that; the state as one row.
template <class Scalar>
struct RuleNumbers {
  using Matrix = testing::Matrix<Scalar>;
  std::vector<Matrix> rows, shared;
  Matrix state;

  Index tokens() const { return rows.front().rows(); }
  testing::Parts<Scalar> parts(const std::vector<RuleColumns>& of_rows, const std::vector<RuleColumns>& of_all) const {
    testing::Parts<Scalar> all;
    const auto add = [&](const Matrix& matrix, const std::string& name) {
      all.push_back(testing::parts_of(matrix.view(), name)[0]);
    };
    for (std::size_t i = 0; i < rows.size(); ++i) add(rows[i], of_rows[i].name);
    for (std::size_t i = 0; i < shared.size(); ++i) add(shared[i], of_all[i].name);
    add(state, "initial state");
    return all;
  }
};

/// Scalars of a state, and how many of them, the first, are drawn; the others are zero.
struct StateSize {
  Index size, drawn;
};

/// Random numbers, decays of a given strength where it is not 0.
template <class Scalar>
RuleNumbers<Scalar> draw_numbers(const std::vector<RuleColumns>& rows, const std::vector<RuleColumns>& shared,
                                 Index tokens, StateSize state, std::uint64_t seed, double strength = 0) {
  const auto draw = [&](Index count, const RuleColumns& of) {
    const double scale = of.decays && strength > 0 ? strength : of.scale;
    auto drawn = testing::random_matrix<Scalar>(count, of.columns, seed++, scale);
    for (Index i = 0; of.sign != 0 && i < count * of.columns; ++i)
      drawn.view().data()[i] = static_cast<Scalar>(of.sign) * std::abs(drawn.view().data()[i]);
    return drawn;
  };
  RuleNumbers<Scalar> numbers;
  for (const auto& columns : rows) numbers.rows.push_back(draw(tokens, columns));
  for (const auto& columns : shared) numbers.shared.push_back(draw(1, columns));
  numbers.state = draw(1, {"state", state.size, 0.5});
  std::fill(numbers.state.view().data() + state.drawn, numbers.state.view().row(1), Scalar(0));
  return numbers;
}

template <class Scalar>
struct RuleAnswer {
  testing::Matrix<Scalar> out, state;
};

/// Views of all tokens, or some.
template <class View, class Matrices>
std::vector<View> views_of(Matrices& matrices, Index first, Index count) {
  std::vector<View> views;
  for (auto& matrix : matrices) views.push_back(matrix.view().rows(first, count));
  return views;
}

enum class RuleForm { native, generic, primal };

/// The record of one forward.
struct RuleRecord {
  Arena memory;
  std::any record;
  std::byte* data = nullptr;
  Index bytes = 0;

  std::vector<std::byte> copy() const { return {data, data + bytes}; }
};

/// Any rule, as a `Model` tells of it:
///
/// - `rule`; `out_width()`; `chunk`, tokens that it reads at once; `at_interval(n)`, the rule that keeps a state every
/// n
///   chunks.
/// - `rows()` and `shared()`: the RuleColumns it reads, the latter in the order of the shared gradient;
/// `rows_of(views)`
///   and `shared_of(views)` make the rule's own of them; `drawn_state`, how many Scalars of a state are not zero.
/// - `forms_tolerance`, if it has one: how far `forward` may be from `primal`, relative to the largest number.
/// - `reference(numbers)`: the RuleAnswer of the formula, number by number, in double.
template <class Scalar>
class RuleUnderTest {
 public:
  using Numbers = RuleNumbers<Scalar>;
  virtual ~RuleUnderTest() = default;

  /// Reads tokens [first, first + count), whose position is their place.
  virtual void forward(RuleForm form, const Numbers& numbers, Index first, Index count, Scalar* state,
                       MatrixView<Scalar> out, RuleRecord* record) const = 0;
  /// Shared gradients are added to those of `d`.
  virtual void backward(const Numbers& numbers, Index first, Index count, const RuleRecord& record,
                        MatrixView<const Scalar> d_out, Scalar* d_state, Numbers& d) const = 0;
  /// Of all tokens at once and of the first alone, the second time.
  virtual std::uint64_t allocations(const Numbers& numbers) const = 0;
  virtual RuleAnswer<double> reference(const RuleNumbers<double>& numbers) const = 0;
  virtual std::unique_ptr<RuleUnderTest> at_interval(Index interval) const = 0;

  std::vector<RuleColumns> rows, shared;
  Index state_size = 0, drawn_state = 0, out_width = 0, chunk = 1;
  double forms_tolerance = std::is_same_v<Scalar, float> ? 2e-5 : 1e-12;
};

template <class Model>
class RuleOfModel final : public RuleUnderTest<typename Model::Rule::Scalar> {
 public:
  using Rule = typename Model::Rule;
  using Scalar = typename Rule::Scalar;
  using Numbers = RuleNumbers<Scalar>;

  explicit RuleOfModel(const Model& model) : model_(model) {
    this->rows = model.rows();
    this->shared = model.shared();
    this->state_size = model.rule.state_size();
    this->drawn_state = model.drawn_state();
    this->out_width = model.out_width();
    this->chunk = model.chunk;
    if constexpr (requires { model.forms_tolerance; }) this->forms_tolerance = model.forms_tolerance;
  }

  void forward(RuleForm form, const Numbers& numbers, Index first, Index count, Scalar* state, MatrixView<Scalar> out,
               RuleRecord* record) const override {
    const auto input = this->input(numbers, first, count);
    Arena scratch;
    if (form == RuleForm::primal) return model_.rule.template primal<simd::Native>(input, state, out, scratch);
    typename Rule::Record kept{};
    if (record) {
      const auto lay_out = [&](Arena& memory) { return model_.rule.record(first, count, memory); };
      record->bytes = Arena::count(lay_out);
      record->memory = Arena(record->bytes + 1);
      {
        const Arena::Frame of_all(record->memory);
        record->data = record->memory.template allocate<std::byte>(record->bytes);
      }
      std::memset(record->data, 0x55, static_cast<std::size_t>(record->bytes));
      record->record = kept = lay_out(record->memory);
    }
    if (form == RuleForm::native)
      model_.rule.template forward<simd::Native>(input, state, out, kept, scratch);
    else
      model_.rule.template forward<simd::Generic>(input, state, out, kept, scratch);
  }
  void backward(const Numbers& numbers, Index first, Index count, const RuleRecord& record,
                MatrixView<const Scalar> d_out, Scalar* d_state, Numbers& d) const override {
    std::vector<Scalar> sums;
    for (const auto& matrix : d.shared) sums.insert(sums.end(), matrix.view().data(), matrix.view().row(1));
    sums.resize(static_cast<std::size_t>(model_.rule.shared_size()) + 1);
    const typename Rule::InputGradient d_input{model_.rule.shared_gradient(sums.data()),
                                               model_.rows_of(views_of<MatrixView<Scalar>>(d.rows, first, count))};
    Arena scratch;
    model_.rule.template backward<simd::Native>(input(numbers, first, count),
                                                std::any_cast<const typename Rule::Record&>(record.record), d_out,
                                                d_state, d_input, scratch);
    const Scalar* next = sums.data();
    for (auto& matrix : d.shared) {
      std::copy_n(next, matrix.columns(), matrix.view().data());
      next += matrix.columns();
    }
  }
  std::uint64_t allocations(const Numbers& numbers) const override {
    const auto all = input(numbers, 0, numbers.tokens()), first = input(numbers, 0, 1);
    testing::Matrix<Scalar> state = numbers.state, out(numbers.tokens(), this->out_width);
    Arena scratch;
    const auto run = [&] {
      for (const auto* some : {&all, &first})
        model_.rule.template forward<simd::Native>(*some, state.view().data(),
                                                   out.rows(0, some == &all ? out.rows() : 1), {}, scratch);
    };
    run();
    const auto before = testing::allocations();
    run();
    return testing::allocations() - before;
  }
  RuleAnswer<double> reference(const RuleNumbers<double>& numbers) const override { return model_.reference(numbers); }
  std::unique_ptr<RuleUnderTest<Scalar>> at_interval(Index interval) const override {
    Model other = model_;
    other.rule = model_.at_interval(interval);
    return std::make_unique<RuleOfModel>(other);
  }

 private:
  typename Rule::Input input(const Numbers& numbers, Index first, Index count) const {
    return {model_.shared_of(views_of<MatrixView<const Scalar>>(numbers.shared, 0, 1)),
            model_.rows_of(views_of<MatrixView<const Scalar>>(numbers.rows, first, count)), first};
  }

  Model model_;
};

}  // namespace ttt::suites
