// SPDX-License-Identifier: MIT
/// @file
/// The smallest language model that has everything a trainer deals with: a panel weight, a gate that does not decay, a
/// State that is carried, and gradients by hand. h_t = a ⊙ h_{t−1} + E[x_t], logits = h_t · Wᵀ.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ttt/models/language_model.hpp"
#include "ttt/nn/linear.hpp"

namespace ttt::testing {

template <class Element>
struct TinyModel {
  using Scalar = Element;
  using State = ttt::State<Scalar>;

  struct Parameters {
    using Scalar = Element;
    ttt::Tensor<Scalar> embedding;  ///< [V × C]
    ttt::Tensor<Scalar> gate;       ///< [C]
    ttt::Tensor<Scalar> head;       ///< [V × C] in panels

    void visit(ttt::ParameterVisitor<Scalar> visitor) {
      visitor("embedding.weight", embedding, ttt::parameter::projection);
      visitor("gate", gate, ttt::parameter::fast_weight);
      visitor("head.weight", head, ttt::parameter::projection);
    }
  };

  struct Record {
    std::vector<std::int64_t> ids;
    std::vector<ttt::Index> lengths;
    std::vector<std::vector<Scalar>> before;  ///< h_{t−1} of each row, empty where the sequence started anew
    std::vector<Scalar> hidden;               ///< [N × C]
    ttt::LogitRows rows = ttt::LogitRows::all;
  };

  ttt::Index size = 256;
  ttt::Index width = 5;

  ttt::Index vocabulary() const { return size; }
  Parameters make_parameters() const {
    return {ttt::Tensor<Scalar>(ttt::Shape{size, width}), ttt::Tensor<Scalar>(ttt::Shape{width}),
            ttt::nn::make_weight<Scalar>(size, width)};
  }
  std::shared_ptr<const ttt::StateLayout> state_layout(ttt::Index = 0) const {
    ttt::StateLayout layout(ttt::Fingerprint("tiny model", {size, width}));
    layout.add(1, {{"hidden", ttt::StateKind::fast_weights, width}});
    return std::make_shared<const ttt::StateLayout>(layout);
  }
  State initial_state(const Parameters& parameters, ttt::Index = 0) const {
    State state(state_layout());
    reset(parameters, state);
    return state;
  }
  void reset(const Parameters&, State& state) const {
    state.wipe();
    state.position = 0;
  }
  std::size_t record_bytes(ttt::Index tokens) const {
    return static_cast<std::size_t>(2 * tokens * width) * sizeof(Scalar);
  }

  void forward(const Parameters& parameters, std::span<const std::int64_t> ids,
               std::span<const ttt::Segment<State>> segments, ttt::LogitRows rows, ttt::MatrixView<Scalar> logits,
               ttt::Context&, Record* record = nullptr) const {
    Record local;
    Record& to = record ? *record : local;
    run(parameters, ids, segments, to);
    to.rows = rows;
    ttt::Index row = 0, out = 0;
    for (const ttt::Index length : to.lengths)
      for (ttt::Index t = 0; t < length; ++t, ++row)
        if (rows == ttt::LogitRows::all || t + 1 == length)
          write_logits(parameters, to.hidden.data() + row * width, logits.row(out++));
  }

  void backward(const Parameters& parameters, const Record& record, ttt::MatrixView<const Scalar> d_logits,
                Parameters& gradients, std::span<State* const> d_states, ttt::Context&) const {
    TTT_ASSERT(record.rows == ttt::LogitRows::all, "the tests train on all rows");
    ttt::Index row = static_cast<ttt::Index>(record.ids.size());
    for (std::size_t s = record.lengths.size(); s-- > 0;) {
      State* d_state = d_states.empty() ? nullptr : d_states[s];
      std::vector<Scalar> d_hidden(static_cast<std::size_t>(width));
      if (d_state) std::copy_n(d_state->values.data(), width, d_hidden.begin());
      for (ttt::Index t = record.lengths[s]; t-- > 0;)
        backward_row(parameters, record, --row, d_logits, gradients, d_hidden);
      if (d_state) std::copy_n(d_hidden.begin(), width, d_state->values.data());
    }
  }

  ttt::Loss loss(const Parameters& parameters, std::span<const std::int64_t> ids, std::span<const std::int64_t> targets,
                 std::span<const ttt::Segment<State>> segments, ttt::VectorView<double> row_losses,
                 ttt::Context&) const {
    Record record;
    run(parameters, ids, segments, record);
    return cross_entropy(parameters, record, targets, 0, row_losses, nullptr);
  }

  ttt::Loss loss_and_backward(const Parameters& parameters, std::span<const std::int64_t> ids,
                              std::span<const std::int64_t> targets, std::span<const ttt::Segment<State>> segments,
                              double scale, Parameters& gradients, std::span<State* const> d_states, Record& record,
                              ttt::Context& context) const {
    run(parameters, ids, segments, record);
    record.rows = ttt::LogitRows::all;
    std::vector<Scalar> d_logits(ids.size() * static_cast<std::size_t>(size));
    const auto result = cross_entropy(parameters, record, targets, scale, {}, d_logits.data());
    backward(parameters, record,
             ttt::MatrixView<const Scalar>(d_logits.data(), static_cast<ttt::Index>(ids.size()), size), gradients,
             d_states, context);
    return result;
  }

 private:
  void run(const Parameters& parameters, std::span<const std::int64_t> ids,
           std::span<const ttt::Segment<State>> segments, Record& record) const {
    record.ids.assign(ids.begin(), ids.end());
    record.lengths.clear();
    record.before.assign(ids.size(), {});
    record.hidden.assign(ids.size() * static_cast<std::size_t>(width), Scalar(0));
    std::size_t row = 0;
    for (const auto& segment : segments) {
      record.lengths.push_back(segment.length);
      if (segment.reset) reset(parameters, *segment.state);
      for (ttt::Index t = 0; t < segment.length; ++t, ++row) {
        Scalar* hidden = segment.state->values.data();
        record.before[row].assign(hidden, hidden + width);
        for (ttt::Index c = 0; c < width; ++c)
          hidden[c] = parameters.gate[c] * hidden[c] + parameters.embedding[ids[row] * width + c];
        std::copy_n(hidden, width, record.hidden.data() + static_cast<ttt::Index>(row) * width);
        segment.state->position = segment.state->position + 1;
      }
    }
  }

  void write_logits(const Parameters& parameters, const Scalar* hidden, Scalar* logits) const {
    for (ttt::Index v = 0; v < size; ++v) {
      logits[v] = 0;
      for (ttt::Index c = 0; c < width; ++c) logits[v] += hidden[c] * parameters.head[v * width + c];
    }
  }

  ttt::Loss cross_entropy(const Parameters& parameters, const Record& record, std::span<const std::int64_t> targets,
                          double scale, ttt::VectorView<double> row_losses, Scalar* d_logits) const {
    ttt::Loss result;
    std::vector<Scalar> logits(static_cast<std::size_t>(size));
    for (std::size_t row = 0; row < targets.size(); ++row) {
      write_logits(parameters, record.hidden.data() + static_cast<ttt::Index>(row) * width, logits.data());
      double sum = 0;
      for (const Scalar logit : logits) sum += std::exp(static_cast<double>(logit));
      const double loss = std::log(sum) - static_cast<double>(logits[static_cast<std::size_t>(targets[row])]);
      if (!row_losses.empty()) row_losses[static_cast<ttt::Index>(row)] = loss;
      for (std::size_t v = 0; d_logits && v < logits.size(); ++v)
        d_logits[row * logits.size() + v] =
            static_cast<Scalar>(scale * (std::exp(static_cast<double>(logits[v])) / sum -
                                         (static_cast<std::int64_t>(v) == targets[row] ? 1 : 0)));
      result.sum += loss;
      ++result.rows;
    }
    return result;
  }

  void backward_row(const Parameters& parameters, const Record& record, ttt::Index row,
                    ttt::MatrixView<const Scalar> d_logits, Parameters& gradients,
                    std::vector<Scalar>& d_hidden) const {
    const auto& before = record.before[static_cast<std::size_t>(row)];
    const std::int64_t id = record.ids[static_cast<std::size_t>(row)];
    for (ttt::Index c = 0; c < width; ++c) {
      Scalar d = d_hidden[static_cast<std::size_t>(c)];
      for (ttt::Index v = 0; v < size; ++v) {
        d += d_logits(row, v) * parameters.head[v * width + c];
        if (!gradients.head.empty())
          gradients.head[v * width + c] += d_logits(row, v) * record.hidden[static_cast<std::size_t>(row * width + c)];
      }
      if (!gradients.embedding.empty()) gradients.embedding[id * width + c] += d;
      if (!gradients.gate.empty()) gradients.gate[c] += d * before[static_cast<std::size_t>(c)];
      d_hidden[static_cast<std::size_t>(c)] = d * parameters.gate[c];
    }
  }
};

static_assert(ttt::TrainableLanguageModel<TinyModel<float>> && ttt::TrainableLanguageModel<TinyModel<double>>);

}  // namespace ttt::testing
