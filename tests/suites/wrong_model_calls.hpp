// SPDX-License-Identifier: MIT
/// @file
/// The table of wrong calls of a language model: what a caller can get wrong with ids, segments, States, parameters and
/// records, in every call that a model has. Each cell is an Error, nothing changed.
#pragma once

#include <memory>

#include "suites/language_model/runs.hpp"
#include "suites/refusals.hpp"

namespace ttt::suites {

template <TrainableLanguageModel Model>
class WrongModelCalls {
 public:
  using Runs = LanguageModelRuns<Model>;
  using Scalar = typename Model::Scalar;
  using State = typename Model::State;
  using Parameters = typename Model::Parameters;
  using Record = typename Model::Record;
  using Matrix = testing::Matrix<Scalar>;
  using Ids = std::vector<std::int64_t>;
  using Segments = std::vector<Segment<State>>;

  /// `others` are models of the same C++ type that differ in kind or in sizes.
  WrongModelCalls(const Model& model, const LayerCase& options, const std::vector<Model>& others)
      : runs_(model, options),
        grows_(options.state_grows),
        refusals_("wrong calls"),
        ids_(runs_.random_ids(8, 1)),
        targets_(runs_.random_ids(8, 2)),
        logits_(8, vocabulary(), unwritten<Scalar>),
        d_logits_(testing::random_matrix<Scalar>(8, vocabulary(), 3)),
        gradients_(runs_.gradient_store()) {
    for (const Model& other : others) others_.push_back(std::make_unique<Runs>(other, options));
    for (const Index read : {1, 0, 2}) states_.push_back(runs_.after(read, 4));
    d_states_.assign(3, runs_.fresh());
  }

  const Report& run() {
    model().forward(runs_.parameters(), ids_, segments(), LogitRows::all, logits_.view(), runs_.context(), &record_);
    watch();
    for (const Call call : {Call::all, Call::last, Call::recorded, Call::loss, Call::loss_and_backward}) {
      wrong_ids(call);
      wrong_segments(call);
      wrong_parameters(call);
    }
    wrong_logits();
    wrong_backward();
    wrong_state_gradients(true);
    wrong_state_gradients(false);
    resets();
    model().backward(runs_.parameters(), record_, d_logits_.view(), gradients_.views(), {}, runs_.context());
    return refusals_.report();
  }
  Index cells() const { return refusals_.cells(); }

 private:
  enum class Call { all, last, recorded, loss, loss_and_backward };
  static const char* name_of(Call call) {
    constexpr const char* names[] = {"forward", "forward of last rows", "recorded forward", "loss",
                                     "loss and backward"};
    return names[static_cast<int>(call)];
  }

  const Model& model() const { return runs_.model(); }
  Index vocabulary() const { return runs_.model().vocabulary(); }
  Segments segments() { return {{5, &states_[0]}, {1, &states_[1]}, {2, &states_[2], true}}; }

  void watch() {
    refusals_.watch("logits", logits_);
    refusals_.watch("gradients", gradients_);
    for (std::size_t i = 0; i < states_.size(); ++i) {
      refusals_.watch("state " + std::to_string(i), states_[i]);
      refusals_.watch("d_state " + std::to_string(i), d_states_[i]);
    }
  }

  void refuse(Call call, const std::string& what, const std::string& words, const Ids& ids, const Segments& list,
              const Ids& targets, const Parameters* parameters = nullptr, const std::vector<State*>& d_states = {}) {
    const std::span<const Segment<State>> segments(list);
    const Parameters& weights = parameters ? *parameters : runs_.parameters();
    refusals_.refuse(std::string(name_of(call)) + ": " + what, words, [&] {
      Context& context = runs_.context();
      switch (call) {
        case Call::all:
          return model().forward(weights, ids, segments, LogitRows::all, logits_.view(), context);
        case Call::last:
          return model().forward(weights, ids, segments, LogitRows::last, logits_.rows(0, 3), context);
        case Call::recorded:
          return model().forward(weights, ids, segments, LogitRows::all, logits_.view(), context, &record_);
        case Call::loss:
          return static_cast<void>(model().loss(weights, ids, targets, segments, {}, context));
        case Call::loss_and_backward:
          return static_cast<void>(model().loss_and_backward(weights, ids, targets, segments, 1, gradients_.views(),
                                                             std::span<State* const>(d_states), record_, context));
      }
    });
  }

  void wrong_ids(Call call) {
    const auto changed = [](Ids ids, std::size_t place, std::int64_t id) {
      ids[place] = id;
      return ids;
    };
    refuse(call, "too few ids", "token ids", Runs::slice(ids_, 0, 7), segments(), targets_);
    refuse(call, "no ids", "token ids", {}, segments(), targets_);
    refuse(call, "an id past the vocabulary", "row 2", changed(ids_, 2, vocabulary()), segments(), targets_);
    refuse(call, "a negative id", "row 7", changed(ids_, 7, -1), segments(), targets_);
    if (call != Call::loss && call != Call::loss_and_backward) return;
    refuse(call, "too few targets", "targets", ids_, segments(), Runs::slice(targets_, 0, 7));
    refuse(call, "a target past the vocabulary", "row 1", ids_, segments(), changed(targets_, 1, vocabulary()));
  }

  void wrong_segments(Call call) {
    const auto wrong = [&](const std::string& what, const std::string& words, const Segments& list) {
      refuse(call, what, words, ids_, list, targets_);
    };
    Segments list = segments();
    list[0].length = 4;
    wrong("segments shorter than the ids", "token ids", list);
    list[0].length = 6;
    wrong("segments longer than the ids", "token ids", list);
    list[1].length = -1;
    list[0].length = 7;
    wrong("a negative length", "length of segment 1", list);
    list = segments();
    list[1].state = nullptr;
    wrong("a null State", "State of segment 1", list);
    list = segments();
    list[2].state = list[0].state;
    wrong("a State of two segments that are not adjacent", "State of segment 2", list);
    for_each_wrong_state([&](const std::string& what, State& state) {
      for (const bool reset : {false, true}) {
        Segments other = segments();
        other[1] = {1, &state, reset};
        wrong(what + (reset ? ", reset" : ""), "State of segment 1", other);
      }
    });
    State wiped = runs_.after(1, 5);
    wiped.wipe();
    list = segments();
    list[1].state = &wiped;
    wrong("a wiped State", "wiped", list);
    if (!grows_) return;
    State small = model().initial_state(runs_.parameters(), 0);
    list[1].state = &small;
    wrong("a full State", "capacity", list);
  }

  void wrong_parameters(Call call) {
    const Parameters unbound = model().make_parameters();
    refuse(call, "parameters without memory", "parameters", ids_, segments(), targets_, &unbound);
    for (std::size_t i = 0; i < others_.size(); ++i)
      refuse(call, "parameters of other model " + std::to_string(i), "parameters", ids_, segments(), targets_,
             &others_[i]->parameters());
  }

  void for_each_wrong_state(const std::function<void(const std::string&, State&)>& use) {
    State none;
    use("a default-constructed State", none);
    State moved = runs_.after(1, 6);
    const State taken = std::move(moved);
    use("a State that was moved from", moved);
    State part = runs_.after(1, 6);
    const auto values = std::move(part.values);
    use("a State whose values were moved from", part);
    for (std::size_t i = 0; i < others_.size(); ++i) {
      State other = others_[i]->after(1, 6);
      use("a State of other model " + std::to_string(i), other);
    }
  }

  void wrong_logits() {
    Matrix wide(9, vocabulary() + 1, unwritten<Scalar>);
    const auto wrong = [&](const std::string& what, const char* words, LogitRows rows, MatrixView<Scalar> logits) {
      for (Record* const record : {static_cast<Record*>(nullptr), &record_})
        refusals_.refuse((record ? "recorded forward: " : "forward: ") + what, words, [&] {
          model().forward(runs_.parameters(), ids_, segments(), rows, logits, runs_.context(), record);
        });
    };
    wrong("logits too narrow", "logits", LogitRows::all, logits_.view().columns(0, vocabulary() - 1));
    wrong("logits too wide", "logits", LogitRows::all, wide.rows(0, 8));
    wrong("too few rows of logits", "logits", LogitRows::all, logits_.rows(0, 7));
    wrong("too many rows of logits", "logits", LogitRows::all, wide.view().columns(0, vocabulary()));
    wrong("no logits", "logits", LogitRows::all, {});
    wrong("logits without memory", "no memory", LogitRows::all, {nullptr, 8, vocabulary()});
    wrong("rows of logits over one another", "apart", LogitRows::all,
          {logits_.view().data(), 8, vocabulary(), vocabulary() - 1});
    wrong("logits of all rows for the last", "logits", LogitRows::last, logits_.view());
    std::vector<double> losses(7);
    refusals_.refuse("loss: too few places for losses", "row_losses", [&] {
      model().loss(runs_.parameters(), ids_, targets_, segments(), {losses.data(), 7}, runs_.context());
    });
  }

  void refuse_backward(const std::string& what, const std::string& words, Record& record,
                       MatrixView<const Scalar> d_logits, Parameters& gradients, const std::vector<State*>& d_states,
                       const Parameters* parameters = nullptr) {
    refusals_.refuse("backward: " + what, words, [&] {
      model().backward(parameters ? *parameters : runs_.parameters(), record, d_logits, gradients,
                       std::span<State* const>(d_states), runs_.context());
    });
  }

  void wrong_backward() {
    Matrix wide(9, vocabulary() + 1, unwritten<Scalar>);
    const auto wrong = [&](const std::string& what, const char* words, MatrixView<const Scalar> d_logits) {
      refuse_backward(what, words, record_, d_logits, gradients_.views(), {});
    };
    wrong("d_logits too narrow", "logits", d_logits_.view().columns(0, vocabulary() - 1));
    wrong("d_logits too wide", "logits", wide.rows(0, 8));
    wrong("too few rows of d_logits", "logits", d_logits_.rows(0, 7));
    wrong("too many rows of d_logits", "logits", wide.view().columns(0, vocabulary()));
    wrong("no d_logits", "logits", {});
    wrong("d_logits without memory", "no memory", {nullptr, 8, vocabulary()});
    Record empty;
    refuse_backward("a record without a forward", "record", empty, d_logits_.view(), gradients_.views(), {});
    const Parameters unbound = model().make_parameters();
    refuse_backward("parameters without memory", "parameters", record_, d_logits_.view(), gradients_.views(), {},
                    &unbound);
    for (std::size_t i = 0; i < others_.size(); ++i) wrong_backward_of(*others_[i], "other model " + std::to_string(i));
  }

  void wrong_backward_of(Runs& other, const std::string& of) {
    Record record;
    State state = other.after(0, 7);
    other.forward({{8, &state}}, runs_.random_ids(8, 8), LogitRows::all, &record);
    auto gradients = other.gradient_store();
    refuse_backward("a record of " + of, "record", record, d_logits_.view(), gradients_.views(), {});
    refuse_backward("gradients of " + of, "gradients", record_, d_logits_.view(), gradients.views(), {});
    refuse_backward("parameters of " + of, "parameters", record_, d_logits_.view(), gradients_.views(), {},
                    &other.parameters());
    refusals_.refuse("loss and backward: gradients of " + of, "gradients", [&] {
      model().loss_and_backward(runs_.parameters(), ids_, targets_, segments(), 1, gradients.views(), {}, record_,
                                runs_.context());
    });
  }

  /// In a backward, and in loss and backward at once.
  void wrong_state_gradients(bool at_once) {
    const auto wrong = [&](const std::string& what, const char* words, const std::vector<State*>& d_states) {
      if (at_once)
        refuse(Call::loss_and_backward, what, words, ids_, segments(), targets_, nullptr, d_states);
      else
        refuse_backward(what, words, record_, d_logits_.view(), gradients_.views(), d_states);
    };
    wrong("too few gradients of States", "d_states", {&d_states_[0], &d_states_[1]});
    wrong("too many gradients of States", "d_states", {nullptr, nullptr, nullptr, nullptr});
    wrong("one gradient for two States", "State of segment 1", {&d_states_[0], &d_states_[0], nullptr});
    wrong("one gradient for two States apart", "State of segment 2", {&d_states_[0], nullptr, &d_states_[0]});
    for_each_wrong_state([&](const std::string& what, State& state) {
      wrong("the gradient of a State is " + what, "State of segment 1", {&d_states_[0], &state, nullptr});
    });
  }

  void resets() {
    for_each_wrong_state([&](const std::string& what, State& state) {
      const std::string before = bits::of(state);
      refusals_.refuse("reset: " + what, "State", [&] { model().reset(runs_.parameters(), state); });
      refusals_.expect(bits::of(state) == before, "reset: " + what + " changed");
    });
  }

  Runs runs_;
  std::vector<std::unique_ptr<Runs>> others_;
  bool grows_;
  Refusals refusals_;
  Ids ids_, targets_;
  Matrix logits_, d_logits_;
  ParameterStore<Parameters> gradients_;
  std::vector<State> states_, d_states_;
  Record record_;
};

/// Runs the whole table, and tells how many cells that were.
template <TrainableLanguageModel Model>
Index check_wrong_model_calls(const Model& model, const LayerCase& options, const std::vector<Model>& others) {
  WrongModelCalls<Model> table(model, options, others);
  require(table.run());
  return table.cells();
}

}  // namespace ttt::suites
