// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "ttt/core/lent_states.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/segment_rounds.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/nn/row_pieces.hpp"
#include "ttt/nn/short_convolution.hpp"

TTT_NAMESPACE_BEGIN

/// What a forward leaves for its backward: the layer's `values`, views into `memory`.
template <class Scalar, class Values>
struct LayerRecord {
  RecordedCall call;
  MatrixView<const Scalar> x;
  Arena memory;
  Values values;
};

/// A forward that has been checked and planned.
template <class Scalar>
struct LayerCall {
  MatrixView<const Scalar> x;
  std::span<const Segment<State<Scalar>>> segments;
  SegmentPlan plan;
  MatrixView<Scalar> y;
  Arena* memory;  ///< of the Record; null: there will be no backward
};

/// What layers have in common whose State is of one size whatever has been read. `Layer`, which derives from it and has
/// it as a friend, has
///
/// - a `name` for messages, a `backward`, and a LayerRecord with its `Values` as `Record`;
/// - `lay_out(plan, recorded, memory)`, the Values of a call, and `run(parameters, call, values, context)`, which reads
///   its rows: all of a forward but checks, the Record and positions;
/// - if its Values have rows(first, count), the views of some rows, a `rule_`, whose Record is Checkpoints, and
///   `records` and `initial_tails` among them: it goes forward in rounds of rows that stay in the caches;
/// - `load_initial(parameters, state)` where a State does not begin with zeros;
/// - Parameters with the fingerprint of their `layer`, and with an `output` unless it `accepts` them itself; made of
///   the configuration and the fingerprint unless it has a `make_parameters`.
///
/// `Options` are its configuration, with a `width`, and resolve(), which puts in what zeros stand for or throws, and
/// fingerprint() unless the layer tells it.
template <class Layer, class Element, class Options>
class FixedStateLayer {
 public:
  using State = ttt::State<Element>;
  using Segments = std::span<const Segment<State>>;

  const Options& config() const { return config_; }
  Index width() const { return config_.width; }
  auto make_parameters() const { return typename Layer::Parameters(config_, fingerprint_); }

  /// `capacity` is ignored: the state does not grow, a sequence has no end.
  std::shared_ptr<const StateLayout> state_layout([[maybe_unused]] Index capacity = 0) const { return state_layout_; }
  template <class Parameters>
  State initial_state(const Parameters& parameters, [[maybe_unused]] Index capacity = 0) const {
    State state(state_layout_);
    layer().reset(parameters, state);
    return state;
  }
  template <class Parameters>
  void reset(const Parameters& parameters, State& state) const {
    detail::check_reset(Layer::name, layer(), parameters, state);
    state.wipe();
    state.position = 0;
    layer().load_initial(parameters, state);
  }
  template <class Parameters>
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.layer == fingerprint_;
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  template <class Parameters>
  requires requires(const Parameters& parameters) { parameters.output; }
  bool accepts(const Parameters& parameters) const {
    return parameters.layer == fingerprint_ && !parameters.output.empty();
  }
  template <class Record>
  requires requires(const Record& record) { record.call; }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }

  /// Of one sequence of `tokens`, read from its start.
  std::size_t record_bytes(Index tokens) const {
    const PlannedSegment whole{0, tokens};
    return static_cast<std::size_t>(
        Arena::count([&](Arena& memory) { layer().lay_out(SegmentPlan(&whole, 1), true, memory); }));
  }
  template <class Definition = Layer>
  void forward(const typename Definition::Parameters& parameters, MatrixView<const Element> x, Segments segments,
               MatrixView<Element> y, Context& context, typename Definition::Record* record = nullptr) const {
    Arena& scratch = context.scratch();
    detail::check_forward<Layer>(Layer::name, layer(), parameters, x, segments, y, scratch);
    const Arena::Frame frame(scratch);
    const SegmentPlan plan = record ? record->call.begin(segments) : plan_segments(segments, scratch);
    const auto hold = [&](Arena& memory) { return layer().lay_out(plan, record != nullptr, memory); };
    const bool at_once = !goes_in_rounds<Definition> || x.rows() <= nn::rows_of_round(context);
    typename Definition::Values values;
    if (record)
      values = record->memory.lay_out_anew(hold);
    else if (at_once)
      values = hold(scratch);
    const LayerCall<Element> call{x, segments, plan, y, record ? &record->memory : nullptr};
    if (at_once)
      run(parameters, call, values, context);
    else if constexpr (goes_in_rounds<Definition>)
      run_in_rounds(parameters, call, values, context);
    if (!record) return;
    record->x = x;
    record->values = values;
    record->call.end(fingerprint_);
  }

 protected:
  explicit FixedStateLayer(const Options& config) : config_(config) {
    config_.resolve();
    fingerprint_ = config_.fingerprint();
  }
  FixedStateLayer(const Options& config, Fingerprint fingerprint) : config_(config), fingerprint_(fingerprint) {}
  /// Makes the layout; `add(layout)` adds its parts.
  template <class Add>
  void lay_out_state(Add&& add) {
    StateLayout layout(fingerprint_);
    add(layout);
    state_layout_ = std::make_shared<const StateLayout>(std::move(layout));
  }
  template <class Parameters>
  void load_initial(const Parameters&, State&) const {}
  /// What a State ends with: the tail of a convolution.
  static MatrixView<Element> last_rows(State& state, Index rows, Index columns) {
    return {state.values.data() + state.values.size() - rows * columns, rows, columns};
  }

  Options config_;
  Fingerprint fingerprint_;

 private:
  template <class Definition>
  static constexpr bool goes_in_rounds = requires(const typename Definition::Values& values) {
    values.rows(Index{}, Index{});
    values.records;
  };

  const Layer& layer() const { return static_cast<const Layer&>(*this); }

  template <class Parameters, class Values>
  void run(const Parameters& parameters, const LayerCall<Element>& call, Values& values, Context& context) const {
    layer().run(parameters, call, values, context);
    advance_positions(call.segments);
  }
  /// `all` are the Values of the call if it is recorded.
  template <class Parameters, class Values>
  void run_in_rounds(const Parameters& parameters, const LayerCall<Element>& call, const Values& all,
                     Context& context) const {
    Arena& scratch = context.scratch();
    const auto read = [&](const SegmentRound<State>& round) {
      const Arena::Frame of_round(scratch);
      const SegmentPlan plan = plan_segments(round.segments, scratch);
      const auto part = [&](auto rows) { return rows.rows(round.row, round.count); };
      Values values =
          call.memory ? part_of(all, call.segments.size(), round, scratch) : layer().lay_out(plan, false, scratch);
      run(parameters, {part(call.x), round.segments, plan, part(call.y), call.memory}, values, context);
      if (call.memory) keep_tails(values, round, all);
    };
    in_segment_rounds<State>(call.segments, nn::rows_of_round(context), grain(), scratch, read);
  }
  Index grain() const { return layer().rule_.checkpoint_tokens(); }
  /// What a round fills of `all`; the tails are its own, for it may begin within a segment.
  template <class Values>
  Values part_of(const Values& all, std::size_t segments, const SegmentRound<State>& round, Arena& scratch) const {
    Values part = all.rows(round.row, round.count);
    const std::size_t heads = all.records.size() / segments, count = round.segments.size() * heads;
    part.records = {scratch.allocate<typename Layer::Rule::Record>(static_cast<Index>(count)), count};
    for (std::size_t i = 0; i < count; ++i)
      part.records[i] = all.records[round.first * heads + i].from(round.before(i / heads) / grain());
    const Index tails = all.initial_tails.rows() / static_cast<Index>(segments);
    part.initial_tails =
        scratch.matrix<Element>(static_cast<Index>(round.segments.size()) * tails, all.initial_tails.columns());
    return part;
  }
  /// Of the segments that begin in a round.
  template <class Values>
  static void keep_tails(const Values& part, const SegmentRound<State>& round, const Values& all) {
    const std::size_t segments = round.segments.size();
    const Index tails = part.initial_tails.rows() / static_cast<Index>(segments);
    for (std::size_t i = 0; i < segments; ++i)
      if (round.before(i) == 0)
        copy(nn::detail::tail_rows(part.initial_tails, i, tails),
             nn::detail::tail_rows(all.initial_tails, round.first + i, tails));
  }

  std::shared_ptr<const StateLayout> state_layout_;
};

TTT_NAMESPACE_END
