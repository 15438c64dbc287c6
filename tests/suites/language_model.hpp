// SPDX-License-Identifier: MIT
/// @file
/// What every TrainableLanguageModel must do, as checks that return a Report. `mini_batch` is the K of its layers; use
/// a model whose sizes are all different, so that a transposition cannot hide.
#pragma once

#include <cstdint>
#include <numeric>
#include <span>
#include <type_traits>
#include <vector>

#include "suites/layer_runs.hpp"
#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/random_matrix.hpp"
#include "ttt/models/language_model.hpp"

namespace ttt::suites {

using testing::Matrix;
using testing::Parts;
using testing::parts_of;
using testing::parts_of_parameters;
using testing::parts_of_state;
using testing::random_matrix;
using testing::Report;

template <TrainableLanguageModel Model>
class LanguageModelSuite {
 public:
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;
  using Record = typename Model::Record;
  using Ids = std::vector<std::int64_t>;

  LanguageModelSuite(const Model& model, const LayerCase& options)
      : model_(model),
        mini_batch_(options.mini_batch),
        tokens_(3 * options.mini_batch + 2),
        store_(model.make_parameters()) {
    initialize(store_.views(), options.seed);
    // The published initial values are so small that layers hardly matter; these make every part count. A small row of
    // the embedding would make the norm behind it too curved for central differences.
    store_.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
      const RandomStream noise(options.seed + 1, name);
      const double spread = name.find("embed") != std::string_view::npos ? 1 : options.spread;
      for (Index i = 0; i < tensor.size(); ++i) {
        const double drawn = static_cast<double>(tensor[i]) + spread * noise.normal(static_cast<std::uint64_t>(i));
        tensor[i] = static_cast<Scalar>(options.prepare ? options.prepare(name, i, drawn) : drawn);
      }
    });
  }

  std::vector<Report> all() {
    std::vector<Report> reports{split_invariance(), saved_states(), causality(), threads(), batching(),
                                last_rows(),        reset(),        losses(),    memory(),  bad_input()};
    if constexpr (std::is_same_v<Scalar, double>) {
      reports.push_back(loss_gradients());
      reports.push_back(logit_and_state_gradients(LogitRows::all));
      reports.push_back(logit_and_state_gradients(LogitRows::last));
    }
    return reports;
  }

  /// Contract 1, forward and backward: all two-way splits of 3K + 2 tokens, random many-way ones, one token at a time.
  Report split_invariance() {
    Report report{"split invariance", 0, {}};
    const Ids ids = random_ids(tokens_, 3);
    const Outcome whole = run(fresh(), ids, {tokens_});
    const Parts<Scalar> gradients = chained_gradients(ids, {tokens_});
    const auto compare = [&](const std::vector<Index>& pieces) {
      const Outcome split = run(fresh(), ids, pieces);
      const std::string where = "pieces " + text(pieces);
      report.close(where, parts_of<Scalar>(split.logits.view(), "logits"),
                   parts_of<Scalar>(whole.logits.view(), "logits"), is_double ? 1e-12 : 1e-5);
      report.close(where, parts_of_state(split.state), parts_of_state(whole.state), is_double ? 1e-12 : 1e-5);
      report.expect(split.state.position == whole.state.position, where + ": position");
      report.close(where + ": gradient", chained_gradients(ids, pieces), gradients, is_double ? 1e-11 : 1e-4);
    };
    for (Index first = 0; first <= tokens_; ++first) compare({first, tokens_ - first});
    for (std::uint64_t seed = 0; seed < 4; ++seed) compare(random_pieces(seed));
    compare(std::vector<Index>(static_cast<std::size_t>(tokens_), 1));
    return report;
  }

  /// A copy of the State taken at any position continues with the same bits, and equals itself only.
  Report saved_states() {
    Report report{"saved states", 0, {}};
    const Ids ids = random_ids(tokens_, 4);
    State state = fresh();
    for (Index t = 0; t < tokens_; ++t) {
      State saved = state, other = fresh();
      const Matrix<Scalar> logits = forward(state, slice(ids, t, 1));
      const std::string where = "position " + std::to_string(t);
      report.expect(!(saved == state), where + ": a state that read a token equals the one that did not");
      other = saved;
      report.same_bits(where, parts_of<Scalar>(forward(other, slice(ids, t, 1)).view(), "logits"),
                       parts_of<Scalar>(logits.view(), "logits"));
      report.expect(other == state, where + ": states differ");
      other = fresh();
      const auto values = parts_of_state(state);
      std::size_t part = 0;
      other.visit([&](std::string_view, VectorView<Scalar> places) {
        std::copy_n(values[part++].values.begin(), places.size(), places.begin());
      });
      other.position = state.position;
      report.expect(other == state, where + ": visit and position do not tell everything");
      State copied = state;
      report.same_bits(where + ", rebuilt", parts_of<Scalar>(forward(other, {1}).view(), "logits"),
                       parts_of<Scalar>(forward(copied, {1}).view(), "logits"));
    }
    state.clear();
    for (const auto& part : parts_of_state(state))
      report.expect(testing::largest_magnitude(part.values) == 0, part.name + ": not wiped");
    report.expect(state.position == 0, "position after clear()");
    return report;
  }

  /// Contract 3: another token t leaves every row before t as it was, bit for bit, and changes row t.
  Report causality() {
    Report report{"causality", 0, {}};
    const Ids ids = random_ids(tokens_, 5);
    const Matrix<Scalar> before = run(fresh(), ids, {tokens_}).logits;
    for (Index t = 0; t < tokens_; ++t) {
      Ids changed = ids;
      auto& id = changed[static_cast<std::size_t>(t)];
      id = (id + 1) % model_.vocabulary();
      const Matrix<Scalar> after = run(fresh(), changed, {tokens_}).logits;
      const std::string where = "token " + std::to_string(t);
      report.same_bits(where, parts_of<Scalar>(after.rows(0, t), "rows before"),
                       parts_of<Scalar>(before.rows(0, t), "rows before"));
      report.expect(!testing::bits_differ(row(after, t), row(before, t)).empty(),
                    where + ": its own row did not change");
    }
    return report;
  }

  /// Contract 4: the same bits for 1, 2 and 3 threads, forward and backward.
  Report threads() {
    Report report{"threads", 0, {}};
    std::vector<Parts<Scalar>> results;
    for (Index workers = 1; workers <= 3; ++workers) {
      ThreadPool pool(workers);
      Context context(pool);
      results.push_back(everything(context));
      report.same_bits(std::to_string(workers) + " threads", results.back(), results.front());
    }
    return report;
  }

  /// Contract 4: segments of many lengths in one call against one call each, and against pieces of one stream.
  Report batching() {
    Report report{"batching", 0, {}};
    const std::vector<Index> lengths{2 * mini_batch_ + 1, 1, 0, mini_batch_, 1, 3, mini_batch_ + 1};
    std::vector<State> together, alone;
    std::vector<Segment<State>> segments;
    for (std::size_t i = 0; i < lengths.size(); ++i)
      together.push_back(run(fresh(), random_ids(static_cast<Index>(i), 10 + i), {static_cast<Index>(i)}).state);
    alone = together;
    for (std::size_t i = 0; i < lengths.size(); ++i) segments.push_back({lengths[i], &together[i], i == 3});
    segments.push_back({2, &together.back(), false});  // the last one's stream goes on in the same call, twice
    segments.push_back({mini_batch_, &together.back(), true});
    alone.push_back(alone.back());
    const Ids ids = random_ids(total_rows(std::span<const Segment<State>>(segments)), 6);
    const Matrix<Scalar> logits = forward(segments, ids, LogitRows::all);
    Index first = 0;
    for (std::size_t i = 0; i < segments.size(); ++i) {
      State& state = alone[std::min(i, lengths.size() - 1)];
      const std::vector<Segment<State>> single{{segments[i].length, &state, segments[i].reset}};
      const Matrix<Scalar> own = forward(single, slice(ids, first, segments[i].length), LogitRows::all);
      const std::string where = "segment " + std::to_string(i);
      report.same_bits(where, parts_of<Scalar>(own.view(), "logits"),
                       parts_of<Scalar>(logits.rows(first, segments[i].length), "logits"));
      first += segments[i].length;
    }
    for (std::size_t i = 0; i < lengths.size(); ++i)
      report.expect(together[i] == alone[i], "state " + std::to_string(i) + " depends on the other segments");
    return report;
  }

  /// LogitRows::last gives the bits of the last rows of LogitRows::all, and zeros where there is no row.
  Report last_rows() {
    Report report{"last rows", 0, {}};
    const std::vector<Index> lengths{3, 0, 1, mini_batch_ + 2};
    std::vector<State> states(2 * lengths.size(), fresh());
    std::vector<Segment<State>> first, second;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      first.push_back({lengths[i], &states[i]});
      second.push_back({lengths[i], &states[lengths.size() + i]});
    }
    const Ids ids = random_ids(total_rows(std::span<const Segment<State>>(first)), 7);
    const Matrix<Scalar> rows = forward(first, ids, LogitRows::all), last = forward(second, ids, LogitRows::last);
    Index end = 0;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      end += lengths[i];
      const auto found = row(last, static_cast<Index>(i));
      report.add("segment " + std::to_string(i),
                 testing::bits_differ(
                     found, lengths[i] > 0 ? row(rows, end - 1) : std::vector<Scalar>(found.size(), Scalar(0))));
      report.expect(states[i] == states[lengths.size() + i], "states differ");
    }
    return report;
  }

  /// A segment with `reset` gives what a fresh State gives, whatever its State held.
  Report reset() {
    Report report{"reset", 0, {}};
    for (const Index dirt : {Index{1}, mini_batch_, mini_batch_ + 1}) {
      const Ids ids = random_ids(tokens_, 8);
      State used = run(fresh(), random_ids(dirt, 9), {dirt}).state;
      const std::vector<Segment<State>> segments{{tokens_, &used, true}};
      const Matrix<Scalar> logits = forward(segments, ids, LogitRows::all);
      const Outcome expected = run(fresh(), ids, {tokens_});
      report.same_bits("after " + std::to_string(dirt), parts_of<Scalar>(logits.view(), "logits"),
                       parts_of<Scalar>(expected.logits.view(), "logits"));
      report.expect(used == expected.state, "the state remembers what was before its reset");
      const std::vector<Segment<State>> nothing{{0, &used, true}};
      forward(nothing, {}, LogitRows::all);
      report.expect(used == fresh(), "a reset without rows is not the start of a sequence");
    }
    return report;
  }

  /// The loss is that of the logits, row by row; its gradients are those of a backward from all logits at once.
  Report losses() {
    Report report{"losses", 0, {}};
    const Ids ids = random_ids(tokens_, 11), targets = some_targets(tokens_);
    const Matrix<Scalar> logits = run(fresh(), ids, {tokens_}).logits;
    State state = fresh();
    std::vector<double> rows(ids.size(), -1);
    std::vector<Segment<State>> segments{{tokens_, &state}};
    const Loss loss = model_.loss(parameters(), ids, targets, segments, {rows.data(), tokens_}, context_);
    double sum = 0;
    for (Index t = 0; t < tokens_; ++t) {
      const double expected = reference_loss(row(logits, t), targets[static_cast<std::size_t>(t)]);
      // One rounding of a logit (below 32 here) and of Σ eˣ, V terms of it in the scalar.
      report.expect(std::abs(rows[static_cast<std::size_t>(t)] - expected) <= (is_double ? 1e-13 : 3e-5),
                    "row " + std::to_string(t));
      sum += rows[static_cast<std::size_t>(t)];
    }
    report.expect(loss.sum == sum && loss.rows == counted_rows(targets), "the sum is not the sum of the rows");
    report.expect(std::abs(loss.mean() * static_cast<double>(loss.rows) - sum) <= 1e-12 * sum, "mean");

    ParameterStore<Parameters> once(model_.make_parameters()), twice(model_.make_parameters());
    Record record;
    state = fresh();
    const Loss again =
        model_.loss_and_backward(parameters(), ids, targets, segments, 0.125, once.views(), {}, record, context_);
    report.expect(again.sum == loss.sum && again.rows == loss.rows, "loss and loss_and_backward disagree");
    for (int pass = 0; pass < 2; ++pass) {
      state = fresh();
      model_.loss_and_backward(parameters(), ids, targets, segments, 0.125, twice.views(), {}, record, context_);
    }
    for (Index i = 0; i < once.arena().size(); ++i) once.arena()[i] *= 2;
    report.close("gradients add up", parts_of_parameters(twice.views()), parts_of_parameters(once.views()),
                 is_double ? 1e-13 : 1e-5);
    return report;
  }

  /// Contract 5 and the promises about bytes: decoding allocates nothing, nor does a second training step.
  Report memory() {
    Report report{"memory", 0, {}};
    Context context;
    State state = run(model_.initial_state(parameters(), 4 * tokens_), random_ids(3, 12), {3}).state;
    const Ids ids = random_ids(2 * mini_batch_ + 2, 13);
    Matrix<Scalar> logits(1, model_.vocabulary());
    const std::uint64_t before = testing::allocations();
    for (const auto& id : ids) {
      const Segment<State> segment{1, &state};
      model_.forward(parameters(), {&id, 1}, {&segment, 1}, LogitRows::last, logits.view(), context);
    }
    const std::uint64_t decoding = testing::allocations() - before;
    report.expect(decoding == 0, "decoding allocates " + std::to_string(decoding) + " times");

    std::size_t bytes = 0;
    for (const auto& part : parts_of_state(model_.initial_state(parameters(), tokens_)))
      bytes += part.values.size() * sizeof(Scalar);
    report.expect(
        model_.state_bytes(tokens_) >= bytes && model_.state_bytes(tokens_) <= bytes + bytes / 2 + 256,
        "state_bytes is " + std::to_string(model_.state_bytes(tokens_)) + ", the values take " + std::to_string(bytes));
    report.expect(model_.record_bytes(2 * tokens_) > model_.record_bytes(tokens_), "record_bytes does not grow");

    const Ids text = random_ids(tokens_, 14), targets = some_targets(tokens_);
    ParameterStore<Parameters> gradients(model_.make_parameters());
    Record record;
    std::uint64_t repeated = 0;
    for (int step = 0; step < 2; ++step) {
      const std::uint64_t start = testing::allocations();
      const Segment<State> segment{tokens_, &state, true};
      model_.loss_and_backward(parameters(), text, targets, {&segment, 1}, 1, gradients.views(), {}, record, context);
      repeated = testing::allocations() - start;
    }
    report.expect(repeated == 0, "a repeated training step allocates " + std::to_string(repeated) + " times");
    return report;
  }

  /// Contract 6: an Error that names the input, and a State that has not moved.
  Report bad_input() {
    Report report{"bad input", 0, {}};
    const State before = run(fresh(), random_ids(3, 15), {3}).state;
    State state = before;
    const auto refuse = [&](const std::string& what, Ids ids, Index length, Index rows, Index columns) {
      const std::vector<Segment<State>> segments{{length, &state}};
      Matrix<Scalar> logits(rows, columns);
      const auto call = [&] { model_.forward(parameters(), ids, segments, LogitRows::all, logits.view(), context_); };
      report.add(what, testing::error_lacks(call, {what}));
      report.expect(state == before, what + ": the state moved");
    };
    const Index vocabulary = model_.vocabulary();
    refuse("row 1", {0, vocabulary, 0}, 3, 3, vocabulary);
    refuse("row 2", {0, 1, -1}, 3, 3, vocabulary);
    refuse("token ids", {0, 1}, 3, 3, vocabulary);
    refuse("logits", {0, 1, 2}, 3, 3, vocabulary - 1);
    refuse("logits", {0, 1, 2}, 3, 2, vocabulary);
    const Ids ids{0, 1}, targets{0, vocabulary};
    const std::vector<Segment<State>> segments{{2, &state}};
    const auto call = [&] { model_.loss(parameters(), ids, targets, segments, {}, context_); };
    report.add("target", testing::error_lacks(call, {"target at row 1"}));
    report.expect(state == before, "target: the state moved");
    return report;
  }

  /// Contract 2: every parameter by central differences of the loss over a reset segment and one that goes on.
  Report loss_gradients() {
    Report report{"gradients of the loss", 0, {}};
    const Index rows = 2 * mini_batch_ + 3;
    const Ids ids = random_ids(2 * rows, 16), targets = some_targets(2 * rows);
    const State carried = run(fresh(), random_ids(mini_batch_ + 1, 17), {mini_batch_ + 1}).state;
    const double scale = 1 / static_cast<double>(counted_rows(targets));
    std::vector<State> states;
    const auto start = [&] {
      states = {carried, carried};
      return std::vector<Segment<State>>{{rows, &states[0], true}, {rows, &states[1], false}};
    };
    ParameterStore<Parameters> gradients(model_.make_parameters());
    Record record;
    model_.loss_and_backward(parameters(), ids, targets, start(), scale, gradients.views(), {}, record, context_);
    compare_with_differences(report, gradients.views(), [&] {
      return scale * model_.loss(parameters(), ids, targets, start(), {}, context_).sum;
    });
    return report;
  }

  /// Contract 2: parameters and initial states under Σ u ∘ logits + Σ w ∘ final state, random u and w.
  Report logit_and_state_gradients(LogitRows which) {
    Report report{
        which == LogitRows::all ? "gradients of logits and states" : "gradients of last logits and states", 0, {}};
    const Index length = mini_batch_ + 2;
    const Ids ids = random_ids(3 * length, 18);
    const std::vector<State> initial{run(fresh(), random_ids(1, 19), {1}).state,
                                     run(fresh(), random_ids(mini_batch_ - 1, 20), {mini_batch_ - 1}).state, fresh()};
    std::vector<State> moved = initial, states, d_states = initial;
    const auto start = [&] {
      states = moved;
      return std::vector<Segment<State>>{{length, &states[0]}, {length, &states[1]}, {length, &states[2], true}};
    };
    const auto u = random_matrix<Scalar>(which == LogitRows::all ? 3 * length : 3, model_.vocabulary(), 21);
    ParameterStore<Parameters> gradients(model_.make_parameters());
    Record record;
    Matrix<Scalar> logits(u.rows(), u.columns());
    model_.forward(parameters(), ids, start(), which, logits.view(), context_, &record);
    for (std::size_t i = 0; i < d_states.size(); ++i) randomize(d_states[i], 22 + i);
    const std::vector<State> w = d_states;
    const std::vector<State*> wanted{&d_states[0], &d_states[1], &d_states[2]};
    model_.backward(parameters(), record, u.view(), gradients.views(), wanted, context_);
    const auto objective = [&] {
      model_.forward(parameters(), ids, start(), which, logits.view(), context_);
      double sum = 0;
      for (Index r = 0; r < u.rows(); ++r)
        for (Index c = 0; c < u.columns(); ++c) sum += u(r, c) * logits(r, c);
      for (std::size_t i = 0; i < states.size(); ++i) {
        const auto values = parts_of_state(states[i]), weights = parts_of_state(w[i]);
        for (std::size_t p = 0; p < values.size(); ++p)
          sum += std::inner_product(values[p].values.begin(), values[p].values.end(), weights[p].values.begin(), 0.0);
      }
      return sum;
    };
    compare_with_differences(report, gradients.views(), objective);
    for (std::size_t i = 0; i < moved.size(); ++i) {
      const auto analytic = parts_of_state(d_states[i]);
      std::size_t part = 0;
      moved[i].visit([&](std::string_view name, VectorView<Scalar> values) {
        const auto& expected = analytic[part++].values;
        for (const Index e : testing::sample_indices(values.size(), 8, 6, 23))
          expect_difference(report, "state " + std::to_string(i) + " " + std::string(name), e, objective, values[e],
                            expected);
      });
    }
    return report;
  }

 private:
  static constexpr bool is_double = std::is_same_v<Scalar, double>;
  struct Outcome {
    Matrix<Scalar> logits;
    State state;
  };

  const Parameters& parameters() const { return store_.views(); }
  State fresh() const { return model_.initial_state(parameters(), 2 * tokens_ + 2 * mini_batch_); }

  Ids random_ids(Index count, std::uint64_t seed) const {
    const RandomStream random(seed, "ids");
    Ids ids;
    for (Index i = 0; i < count; ++i)
      ids.push_back(static_cast<std::int64_t>(
          random.below(static_cast<std::uint64_t>(i), static_cast<std::uint64_t>(model_.vocabulary()))));
    return ids;
  }
  /// Random ones, every fifth ignored.
  Ids some_targets(Index count) const {
    Ids targets = random_ids(count, 30);
    for (std::size_t t = 2; t < targets.size(); t += 5) targets[t] = -100;
    return targets;
  }
  static Ids slice(const Ids& ids, Index first, Index count) {
    return {ids.begin() + first, ids.begin() + first + count};
  }
  static std::vector<Scalar> row(const Matrix<Scalar>& matrix, Index r) {
    return parts_of<Scalar>(matrix.rows(r, 1), "row")[0].values;
  }
  static std::string text(const std::vector<Index>& pieces) {
    std::string text;
    for (const Index piece : pieces) text += (text.empty() ? "" : ",") + std::to_string(piece);
    return text;
  }
  std::vector<Index> random_pieces(std::uint64_t seed) const {
    const RandomStream random(seed, "pieces");
    std::vector<Index> pieces;
    Index left = tokens_;
    for (std::uint64_t i = 0; left > 0; ++i) {
      const auto bound = static_cast<std::uint64_t>(std::min(left, mini_batch_ + 1)) + 1;
      pieces.push_back(static_cast<Index>(random.below(i, bound)));
      left -= pieces.back();
    }
    return pieces;
  }

  Matrix<Scalar> forward(std::span<const Segment<State>> segments, const Ids& ids, LogitRows which) {
    Matrix<Scalar> logits(
        which == LogitRows::all ? static_cast<Index>(ids.size()) : static_cast<Index>(segments.size()),
        model_.vocabulary(), Scalar(7));
    model_.forward(parameters(), ids, segments, which, logits.view(), context_);
    return logits;
  }
  Matrix<Scalar> forward(State& state, const Ids& ids) {
    const Segment<State> segment{static_cast<Index>(ids.size()), &state};
    return forward({&segment, 1}, ids, LogitRows::all);
  }
  Outcome run(State state, const Ids& ids, const std::vector<Index>& pieces) {
    Matrix<Scalar> logits(static_cast<Index>(ids.size()), model_.vocabulary());
    Index first = 0;
    for (const Index piece : pieces) {
      copy(forward(state, slice(ids, first, piece)).view(), logits.rows(first, piece));
      first += piece;
    }
    return {logits, state};
  }

  /// Gradients of a loss over one stream, the pieces being chained backwards through the gradients of their States.
  Parts<Scalar> chained_gradients(const Ids& ids, const std::vector<Index>& pieces) {
    const Ids targets = some_targets(tokens_);
    ParameterStore<Parameters> gradients(model_.make_parameters());
    std::vector<State> states{fresh()};
    std::vector<Index> starts{0};
    for (const Index piece : pieces) {
      states.push_back(states.back());
      forward(states.back(), slice(ids, starts.back(), piece));
      starts.push_back(starts.back() + piece);
    }
    State d_state = fresh();
    d_state.clear();
    for (std::size_t p = pieces.size(); p-- > 0;) {
      Record record;
      State state = states[p];
      State* const wanted = &d_state;
      // The first piece resets, so that what the initial state was learned in gets its gradient.
      const Segment<State> segment{pieces[p], &state, p == 0};
      model_.loss_and_backward(parameters(), slice(ids, starts[p], pieces[p]), slice(targets, starts[p], pieces[p]),
                               {&segment, 1}, 0.25, gradients.views(), {&wanted, 1}, record, context_);
    }
    return parts_of_parameters(gradients.views());
  }

  /// Logits, states, losses and gradients of a batch, for comparing bits.
  Parts<Scalar> everything(Context& context) {
    const std::vector<Index> lengths{tokens_, 1, 2 * mini_batch_ + 1, 5};
    std::vector<State> states(lengths.size(), fresh());
    std::vector<Segment<State>> segments;
    for (std::size_t i = 0; i < lengths.size(); ++i) segments.push_back({lengths[i], &states[i], i % 2 == 0});
    const Index rows = total_rows(std::span<const Segment<State>>(segments));
    const Ids ids = random_ids(rows, 31), targets = some_targets(rows);
    Matrix<Scalar> logits(rows, model_.vocabulary());
    std::vector<State> d_states(lengths.size(), fresh());
    std::vector<State*> wanted;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      randomize(d_states[i], 32 + i);
      wanted.push_back(&d_states[i]);
    }
    ParameterStore<Parameters> gradients(model_.make_parameters());
    Record record;
    model_.forward(parameters(), ids, segments, LogitRows::all, logits.view(), context);
    const Loss loss =
        model_.loss_and_backward(parameters(), ids, targets, segments, 0.5, gradients.views(), wanted, record, context);
    Parts<Scalar> parts = parts_of<Scalar>(logits.view(), "logits");
    parts.push_back({"loss", {static_cast<Scalar>(loss.sum)}});
    const auto append = [&](const Parts<Scalar>& more) { parts.insert(parts.end(), more.begin(), more.end()); };
    append(parts_of_parameters(gradients.views()));
    for (const auto& state : states) append(parts_of_state(state));
    for (const auto& state : d_states) append(parts_of_state(state));
    return parts;
  }

  static void randomize(State& state, std::uint64_t seed) {
    state.visit([&](std::string_view name, VectorView<Scalar> values) {
      const RandomStream random(seed, name);
      for (Index i = 0; i < values.size(); ++i)
        values[i] = static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i)));
    });
  }

  static double reference_loss(const std::vector<Scalar>& logits, std::int64_t target) {
    if (target < 0) return 0;
    long double sum = 0;
    for (const Scalar logit : logits) sum += std::exp(static_cast<long double>(logit));
    return static_cast<double>(std::log(sum) - static_cast<long double>(logits[static_cast<std::size_t>(target)]));
  }

  template <class Objective>
  static void expect_difference(Report& report, const std::string& name, Index element, Objective&& objective,
                                Scalar& value, const std::vector<Scalar>& analytic) {
    const double numeric = testing::central_difference(objective, value),
                 bound = 1e-7 * std::max(1.0, testing::largest_magnitude(analytic));
    const double found = analytic[static_cast<std::size_t>(element)];
    report.add(name, std::abs(found - numeric) <= bound
                         ? std::string()
                         : testing::describe(static_cast<std::size_t>(element), found, numeric, bound));
  }
  template <class Objective>
  void compare_with_differences(Report& report, Parameters& gradients, Objective&& objective) {
    const auto analytic = parts_of_parameters(gradients);
    std::size_t part = 0;
    store_.views().visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
      const auto& expected = analytic[part++].values;
      for (const Index e : testing::sample_indices(tensor.size(), 6, 5, 24))
        expect_difference(report, std::string(name), e, objective, tensor[e], expected);
    });
  }

  Model model_;
  Index mini_batch_;
  Index tokens_;
  ParameterStore<Parameters> store_;
  Context context_;
};

/// Runs every check and asserts that it found nothing wrong.
template <TrainableLanguageModel Model>
void check_language_model(const Model& model, const LayerCase& options) {
  for (const Report& report : LanguageModelSuite<Model>(model, options).all()) {
    INFO(report.text());
    CHECK(report.failures.empty());
    CHECK(report.comparisons > 0);
  }
}

}  // namespace ttt::suites
