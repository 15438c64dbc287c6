// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "ttt/core/lent_states.hpp"
#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"

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
    auto values = record ? record->memory.lay_out_anew(hold) : hold(scratch);
    layer().run(parameters, {x, segments, plan, y, record ? &record->memory : nullptr}, values, context);
    advance_positions(segments);
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
  const Layer& layer() const { return static_cast<const Layer&>(*this); }

  std::shared_ptr<const StateLayout> state_layout_;
};

TTT_NAMESPACE_END
