// SPDX-License-Identifier: MIT
// The suite of language models is tested on models that each break one contract.
#include "ttt/models/language_model.hpp"

#include <memory>
#include <string>
#include <vector>

#include "suites/language_model.hpp"
#include "support/catch.hpp"
#include "support/compiled_layers.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/models/causal_lm.hpp"

using namespace ttt;
using suites::LanguageModelSuite;
using testing::Report;

namespace {

enum class Fault {
  none,
  stands_still,
  looks_ahead,
  multiplies_later_by_zero,
  counts_workers,
  counts_segments,
  last_differs,
  ignores_reset,
  writes_unsaid,
  wrong_row_loss,
  assigns_gradients,
  wrong_loss_gradient,
  wrong_logit_gradient,
  wrong_state_gradient,
  allocates,
  moves_on_error,
  accepts_anything
};

TttLinear<double> layer() {
  TttConfig config;
  config.width = 8;
  config.heads = 2;
  config.mini_batch = 3;
  return TttLinear<double>(config);
}

/// A causal language model with one fault.
class FaultyModel {
  using Inner = CausalLm<double>;

 public:
  using Scalar = double;
  using Parameters = Inner::Parameters;
  using State = Inner::State;
  using Record = Inner::Record;
  using Ids = std::span<const std::int64_t>;
  using Segments = std::span<const Segment<State>>;

  explicit FaultyModel(Fault fault) : inner_({7, 8, 6}, std::vector(2, AnySequenceLayer(layer()))), fault_(fault) {}

  Index vocabulary() const { return inner_.vocabulary(); }
  Parameters make_parameters() const { return inner_.make_parameters(); }
  State initial_state(const Parameters& parameters, Index capacity = 0) const {
    return inner_.initial_state(parameters, capacity);
  }
  void reset(const Parameters& parameters, State& state) const { inner_.reset(parameters, state); }
  std::shared_ptr<const StateLayout> state_layout(Index capacity = 0) const { return inner_.state_layout(capacity); }
  std::size_t record_bytes(Index tokens) const { return inner_.record_bytes(tokens); }

  void forward(const Parameters& parameters, Ids ids, Segments segments, LogitRows rows, MatrixView<double> logits,
               Context& context, Record* record = nullptr) const {
    if (fault_ == Fault::accepts_anything && (!sound(ids) || logits.columns() != vocabulary())) return;
    if (fault_ == Fault::moves_on_error && !sound(ids)) segments[0].state->position = segments[0].state->position + 1;
    if (fault_ == Fault::allocates) memory_ = std::make_shared<int>(1);
    if (fault_ == Fault::ignores_reset) {
      std::vector<Segment<State>> pieces(segments.begin(), segments.end());
      for (auto& piece : pieces) piece.reset = false;
      return inner_.forward(parameters, ids, pieces, rows, logits, context, record);
    }
    if (fault_ == Fault::stands_still && segments.size() == 1 && segments[0].length > 1) {
      State unmoved = *segments[0].state;
      const Segment<State> piece{segments[0].length, &unmoved};
      return inner_.forward(parameters, ids, {&piece, 1}, rows, logits, context, record);
    }
    inner_.forward(parameters, ids, segments, rows, logits, context, record);
    if (fault_ == Fault::writes_unsaid) segments[0].state->values[0] += 1e-6;  // a fast weight, whatever the token
    for (Index r = 0; r < logits.rows(); ++r) logits(r, 0) += disturbance(r, ids, segments, rows, context);
    if (fault_ == Fault::multiplies_later_by_zero)
      for (Index r = 0; r + 1 < logits.rows(); ++r)
        logits(r, 0) += 0 * parameters.embedding[ids[static_cast<std::size_t>(r + 1)] * 8];
  }
  void backward(const Parameters& parameters, Record& record, MatrixView<const double> d_logits, Parameters& gradients,
                std::span<State* const> d_states, Context& context) const {
    inner_.backward(parameters, record, d_logits, gradients, d_states, context);
    if (fault_ == Fault::wrong_logit_gradient) gradients.norm[0] += 1e-3;
    if (fault_ == Fault::wrong_state_gradient && !d_states.empty())
      for (const StatePart& part : d_states[0]->layout->parts()) (*d_states[0])[part](0, 0) += 1e-3;
  }
  Loss loss(const Parameters& parameters, Ids ids, Ids targets, Segments segments, VectorView<double> rows,
            Context& context) const {
    const Loss loss = inner_.loss(parameters, ids, targets, segments, rows, context);
    if (fault_ == Fault::wrong_row_loss && !rows.empty()) rows[0] += 1e-9;
    return loss;
  }
  Loss loss_and_backward(const Parameters& parameters, Ids ids, Ids targets, Segments segments, double scale,
                         Parameters& gradients, std::span<State* const> d_states, Record& record,
                         Context& context) const {
    if (fault_ == Fault::assigns_gradients)
      for (Index i = 0; i < gradients.norm.size(); ++i) gradients.norm[i] = 0;
    const Loss loss =
        inner_.loss_and_backward(parameters, ids, targets, segments, scale, gradients, d_states, record, context);
    if (fault_ == Fault::wrong_loss_gradient) gradients.norm[0] += 1e-3 * scale;
    return loss;
  }

 private:
  bool sound(Ids ids) const {
    return std::all_of(ids.begin(), ids.end(), [&](std::int64_t id) { return id >= 0 && id < vocabulary(); });
  }
  double disturbance(Index row, Ids ids, Segments segments, LogitRows rows, Context& context) const {
    const auto next = static_cast<std::size_t>(row) + 1;
    switch (fault_) {
      case Fault::looks_ahead:
        return next < ids.size() ? 1e-9 * static_cast<double>(ids[next]) : 0;
      case Fault::counts_workers:
        return 1e-12 * static_cast<double>(context.workers());
      case Fault::counts_segments:
        return 1e-12 * static_cast<double>(segments.size());
      case Fault::last_differs:
        return rows == LogitRows::last ? 1e-12 : 0;
      default:
        return 0;
    }
  }

  Inner inner_;
  Fault fault_;
  mutable std::shared_ptr<int> memory_;
};

struct Broken {
  Fault fault;
  const char* check;
  const char* message;
};

// Keeps the position factors 1/r + learned_r of the layers off their clamp at zero, and their inner layer norm off the
// small variances at which central differences have truncation errors of their own.
const suites::LayerCase options{
    .mini_batch = 3, .spread = 0.3, .prepare = [](std::string_view name, Index index, double value) {
      return name.ends_with("learnable_token_idx") ? 0.1 / static_cast<double>(index + 1) : value;
    }};

}  // namespace

static_assert(TrainableLanguageModel<FaultyModel>);
static_assert(!LanguageModel<TttLinear<double>>);

TEST_CASE("A sound language model passes the suite") {
  suites::check_language_model(FaultyModel(Fault::none), options);
}

TEST_CASE("Every check of the suite of language models finds the model that breaks it") {
  const auto broken = GENERATE(
      Broken{Fault::stands_still, "split invariance", "position"},
      Broken{Fault::looks_ahead, "causality", "rows before"},
      Broken{Fault::multiplies_later_by_zero, "non-finite values", "rows before"},
      Broken{Fault::counts_workers, "threads", "2 threads"}, Broken{Fault::counts_segments, "batching", "segment 0"},
      Broken{Fault::last_differs, "last rows", "segment 0"}, Broken{Fault::ignores_reset, "reset", "remembers"},
      Broken{Fault::writes_unsaid, "rollback", "fast_weights"}, Broken{Fault::wrong_row_loss, "losses", "row 0"},
      Broken{Fault::assigns_gradients, "losses", "gradients add up"},
      Broken{Fault::wrong_loss_gradient, "gradients of the loss", "model.norm.weight"},
      Broken{Fault::wrong_logit_gradient, "gradients of logits and states", "model.norm.weight"},
      Broken{Fault::wrong_logit_gradient, "gradients of last logits and states", "model.norm.weight"},
      Broken{Fault::wrong_state_gradient, "gradients of logits and states", "state 0"},
      Broken{Fault::allocates, "memory", "decoding allocates"}, Broken{Fault::moves_on_error, "bad input", "moved"},
      Broken{Fault::accepts_anything, "bad input", "no error was thrown"});
  bool found = false, said = false;
  for (const Report& report : LanguageModelSuite<FaultyModel>(FaultyModel(broken.fault), options).all())
    if (report.check == broken.check) {
      found = true;
      for (const auto& failure : report.failures) said = said || failure.find(broken.message) != std::string::npos;
    }
  INFO("fault " << static_cast<int>(broken.fault) << ", expected \"" << broken.message << "\" from " << broken.check);
  CHECK(found);
  CHECK(said);
}

TEST_CASE("Losses count the rows that have a target") {
  const std::vector<std::int64_t> targets{3, -1, 0, -100, 5};
  CHECK(counted_rows(targets) == 3);
  CHECK(counted_rows({}) == 0);
  CHECK(Loss{6, 3}.mean() == 2);
  CHECK(Loss{}.mean() == 0);
}
