// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ttt/core/lent_states.hpp"
#include "ttt/layers/any_sequence_layer.hpp"

TTT_NAMESPACE_BEGIN

/// One layer of a Stack, a Residual as a rule.
template <class Scalar>
struct StackLayer {
  Index block = 0;   ///< of the model; its parameters are those of "layers.{block}."
  std::string name;  ///< its part of a State is "layers.{block}.{name}."
  AnySequenceLayer<Scalar> layer;
};

/// Layers [first, end) of a Stack.
struct StackRange {
  std::size_t first = 0, end = 0;
};

/// Layers one after another, x → layer 0 → layer 1 → …: what a language model has between embedding and head.
///
/// A call may run a range of the layers only. It reads and writes *slots*: [N × C] of hidden values, slot i being what
/// layer i reads and slot i + 1 what it gives. The positions of the States are the caller's to advance.
template <class Element>
class Stack {
 public:
  using Scalar = Element;
  using State = ttt::State<Scalar>;
  using Segments = std::span<const Segment<State>>;

  struct Parameters {
    using Scalar = Element;
    std::vector<AnyParameters<Scalar>> layers;
    std::vector<Index> blocks;  ///< of each layer

    void visit(ParameterVisitor<Scalar> visitor) {
      for (std::size_t i = 0; i < layers.size(); ++i)
        visit_nested(visitor, "layers." + std::to_string(blocks[i]) + ".", layers[i]);
    }
  };

  /// What a forward leaves for its backward; its memory is reused by the next one.
  struct Record {
    Arena memory;
    MatrixView<Scalar> slots;  ///< [(layers + 1) · N × C]
    std::vector<AnyRecord> layers;
  };

  /// Throws Error when there is no layer, or one of another width.
  explicit Stack(std::vector<StackLayer<Scalar>> layers) : layers_(std::move(layers)) {
    if (layers_.empty()) throw_unexpected("layers of the model", "at least one", "none");
    for (const auto& [block, name, layer] : layers_)
      if (layer.width() != width())
        throw_unexpected("block " + std::to_string(block) + ": width of '" + name + "'", std::to_string(width()),
                         std::to_string(layer.width()));
    for (const auto& item : layers_) fingerprint_ = fingerprint_.around(item.layer.state_layout(0)->maker());
  }

  const std::vector<StackLayer<Scalar>>& layers() const { return layers_; }
  StackRange all() const { return {0, layers_.size()}; }
  Index width() const { return layers_.front().layer.width(); }
  /// Of its kind, in the fingerprint of a model.
  Fingerprint fingerprint() const { return fingerprint_; }

  Parameters make_parameters() const {
    Parameters parameters;
    for (const auto& item : layers_) {
      parameters.layers.push_back(item.layer.make_parameters());
      parameters.blocks.push_back(item.block);
    }
    return parameters;
  }
  /// Adds a part for each layer.
  void lay_out_states(StateLayout& layout, Index capacity) const {
    for (const auto& [block, name, layer] : layers_)
      layout.add("layers." + std::to_string(block) + "." + name + ".", layer.state_layout(capacity));
  }
  void reset(const Parameters& parameters, State& state) const {
    for (std::size_t i = 0; i < layers_.size(); ++i) {
      State part = state.lend(i);
      layers_[i].layer.reset(parameters.layers[i], part);
    }
  }
  bool accepts(const Parameters& parameters) const {
    return each(parameters.layers, [](const auto& item, const auto& part) { return item.layer.accepts(part); });
  }
  bool accepts_gradients(const Parameters& gradients) const {
    return each(gradients.layers,
                [](const auto& item, const auto& part) { return item.layer.accepts_gradients(part); });
  }
  bool accepts(const Record& record) const {
    return each(record.layers, [](const auto& item, const auto& part) { return item.layer.accepts(part); });
  }
  std::size_t record_bytes(Index tokens) const {
    const auto slots = [&](Arena& memory) { memory.matrix<Scalar>(count() * tokens, width()); };
    auto sum = static_cast<std::size_t>(Arena::count(slots));
    for (const auto& item : layers_) sum += item.layer.record_bytes(tokens);
    return sum;
  }

  /// Memory for the slots of a call of N rows: all of them where it is recorded, else two that take turns.
  MatrixView<Scalar> make_slots(Index rows, Context& context, Record* record) const {
    if (!record) return context.scratch().template matrix<Scalar>(2 * rows, width());
    record->layers.resize(layers_.size());
    record->slots =
        record->memory.lay_out_anew([&](Arena& memory) { return memory.matrix<Scalar>(count() * rows, width()); });
    return record->slots;
  }
  /// Slot i of N rows each.
  static MatrixView<Scalar> slot(MatrixView<Scalar> slots, Index rows, std::size_t i) {
    return slots.rows(rows == 0 ? 0 : static_cast<Index>(i) % (slots.rows() / rows) * rows, rows);
  }

  /// Runs layers `range` on slot range.first and returns slot range.end. Throws Cancelled between layers.
  MatrixView<Scalar> forward(const Parameters& parameters, Segments segments, StackRange range,
                             MatrixView<Scalar> slots, Context& context, Record* record) const {
    const Index rows = total_rows(segments);
    for (std::size_t i = range.first; i < range.end; ++i) {
      const Arena::Frame frame(context.scratch());
      enter(i, context);
      layers_[i].layer.forward(parameters.layers[i], slot(slots, rows, i), lend(segments, i, context.scratch()),
                               slot(slots, rows, i + 1), context, record ? &record->layers[i] : nullptr);
    }
    return slot(slots, rows, range.end);
  }
  /// Backward of `forward`: `d_hidden` [N × C] goes from the gradient of slot range.end to that of slot range.first.
  void backward(const Parameters& parameters, Record& record, StackRange range, MatrixView<Scalar> d_hidden,
                Parameters& gradients, std::span<State* const> d_states, Context& context) const {
    for (std::size_t i = range.end; i-- > range.first;) {
      const Arena::Frame frame(context.scratch());
      enter(i, context);
      layers_[i].layer.backward(parameters.layers[i], record.layers[i], d_hidden, d_hidden, gradients.layers[i],
                                lend(d_states, i, context.scratch()), context);
      if (context.gradients_final) (*context.gradients_final)(i);
    }
  }

 private:
  Index count() const { return static_cast<Index>(layers_.size()) + 1; }
  template <class Parts, class Accepts>
  bool each(const Parts& parts, Accepts&& accepts) const {
    return std::equal(layers_.begin(), layers_.end(), parts.begin(), parts.end(), accepts);
  }
  void enter(std::size_t i, Context& context) const {
    if (context.cancellation && context.cancellation->load()) throw Cancelled();
    context.block = layers_[i].block;
  }

  std::vector<StackLayer<Scalar>> layers_;
  Fingerprint fingerprint_{"stack", {}};
};

TTT_NAMESPACE_END
