// SPDX-License-Identifier: MIT
#pragma once

#include <memory>
#include <span>
#include <utility>

#include "ttt/layers/call_checks.hpp"
#include "ttt/layers/sequence_layer.hpp"

TTT_NAMESPACE_BEGIN

/// What layers have in common whose State is of one size whatever has been read, and begins with zeros unless the layer
/// has a `reset` of its own. `Layer`, which derives from it and says `using FixedStateLayer::accepts`, has a `name` for
/// messages; its Parameters have the fingerprint of their `layer`, its Records a `call`.
template <class Layer, class Element>
class FixedStateLayer {
 public:
  using State = ttt::State<Element>;

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
  }
  template <class Parameters>
  bool accepts_gradients(const Parameters& gradients) const {
    return gradients.layer == fingerprint_;
  }
  bool accepts(const State& state) const { return state.made_by(fingerprint_); }
  template <class Record>
  requires requires(const Record& record) { record.call; }
  bool accepts(const Record& record) const { return record.call.layer() == fingerprint_; }

 protected:
  explicit FixedStateLayer(Fingerprint fingerprint) : fingerprint_(fingerprint) {}
  /// Makes the layout; `add(layout)` adds its parts.
  template <class Add>
  void lay_out_state(Add&& add) {
    StateLayout layout(fingerprint_);
    add(layout);
    state_layout_ = std::make_shared<const StateLayout>(std::move(layout));
  }
  /// What a State ends with: the tail of a convolution.
  static MatrixView<Element> last_rows(State& state, Index rows, Index columns) {
    return {state.values.data() + state.values.size() - rows * columns, rows, columns};
  }
  /// Bytes that `lay_out(plan, memory)` of the layer takes for one sequence of `tokens`, from its start.
  template <class LayOut>
  static std::size_t recorded_bytes(Index tokens, LayOut&& lay_out) {
    const PlannedSegment whole{0, tokens};
    return static_cast<std::size_t>(Arena::count([&](Arena& memory) { lay_out(SegmentPlan(&whole, 1), memory); }));
  }

  Fingerprint fingerprint_;

 private:
  const Layer& layer() const { return static_cast<const Layer&>(*this); }

  std::shared_ptr<const StateLayout> state_layout_;
};

TTT_NAMESPACE_END
