// SPDX-License-Identifier: MIT
// A small model, generic in its SequenceLayer, trained with attention and then with TTT-Linear: one type changes.
//
// The task is recall. A sequence shows pairs of a symbol and a label, then asks for the label of each symbol again:
//   (c 3) (a 1) (d 0) (b 2)   c? d? a? b?
#include <cmath>
#include <cstdio>
#include <vector>

#include <ttt/core/eigen.hpp>
#include <ttt/layers/attention.hpp>
#include <ttt/layers/ttt_linear.hpp>
#include <ttt/training/adamw.hpp>

namespace {

constexpr ttt::Index symbols = 8, labels = 8, width = 32, length = 2 * symbols;
using Matrix = ttt::Tokens<float>;

/// One sequence: inputs [2S × C], and for each question the label that is right.
struct Task {
  Matrix inputs{length, width};
  std::vector<Eigen::Index> answers;
};

/// The user's own model: fixed embeddings around one sequence layer, whichever it is.
template <ttt::TrainableSequenceLayer Layer>
class RecallModel {
 public:
  explicit RecallModel(const typename Layer::Config& config)
      : layer_(config), gradients_(layer_.make_gradients()), optimizer_({.weight_decay = 0}, layer_.store()) {
    const ttt::RandomStream random(7, "embeddings");
    for (Eigen::Index i = 0; i < symbol_.size(); ++i) symbol_.data()[i] = normal(random, i);
    for (Eigen::Index i = 0; i < label_.size(); ++i) label_.data()[i] = normal(random, i + symbol_.size());
  }

  /// A permutation of the symbols with random labels, asked for in another order.
  Task draw(std::uint64_t number) const {
    const ttt::RandomStream random(number, "task");
    Task task;
    std::vector<Eigen::Index> shown, label_of(symbols);
    for (Eigen::Index s = 0; s < symbols; ++s) shown.push_back(s);
    for (std::size_t s = symbols; s-- > 1;) std::swap(shown[s], shown[random.below(s, s + 1)]);
    for (Eigen::Index t = 0; t < symbols; ++t) {
      const auto label = static_cast<Eigen::Index>(random.below(static_cast<std::uint64_t>(100 + t), labels));
      label_of[static_cast<std::size_t>(shown[static_cast<std::size_t>(t)])] = label;
      task.inputs.row(t) = symbol_.row(shown[static_cast<std::size_t>(t)]) + label_.row(label);
    }
    for (Eigen::Index t = 0; t < symbols; ++t) {
      task.inputs.row(symbols + t) = symbol_.row(t);
      task.answers.push_back(label_of[static_cast<std::size_t>(t)]);
    }
    return task;
  }

  /// One step of training on one task; returns the mean cross-entropy of the answers in nats.
  double train(const Task& task, double learning_rate) {
    auto state = layer_.initial_state(length);
    const ttt::Segment<typename Layer::State> segment{length, &state, true};  // a new sequence, from the learned start
    Matrix y(length, width), d_y = Matrix::Zero(length, width);
    layer_.forward(ttt::view(task.inputs), segment, ttt::view(y), context_, record_);

    double loss = 0;
    for (Eigen::Index t = 0; t < symbols; ++t) {
      Eigen::RowVectorXf p = ((y.row(symbols + t) * label_.transpose()).array()).exp();
      p /= p.sum();
      const Eigen::Index answer = task.answers[static_cast<std::size_t>(t)];
      loss -= std::log(p[answer]) / symbols;
      p[answer] -= 1;
      d_y.row(symbols + t) = p * label_ / symbols;
    }
    gradients_.arena().clear();
    layer_.backward(record_, ttt::view(std::as_const(d_y)), {}, gradients_.views(), context_);
    optimizer_.step(layer_.store().arena(), gradients_.arena(), learning_rate, context_);
    return loss;
  }

 private:
  static float normal(const ttt::RandomStream& random, Eigen::Index i) {
    return static_cast<float>(random.normal(static_cast<std::uint64_t>(i)) / std::sqrt(double(width)) * 2);
  }

  ttt::Layer<Layer> layer_;
  ttt::ParameterStore<typename Layer::Parameters> gradients_;
  ttt::training::AdamW<float> optimizer_;
  typename Layer::Record record_;
  Matrix symbol_{symbols, width}, label_{labels, width};
  ttt::Context context_;
};

template <class Layer>
double run(const char* name, const typename Layer::Config& config) {
  RecallModel<Layer> model(config);
  double recent = std::log(double(labels));
  for (std::uint64_t step = 0; step < 3000; ++step) {
    recent += 0.01 * (model.train(model.draw(step), 3e-3) - recent);
    if (step % 600 == 599) std::printf("%-12s step %4d  loss %.3f nats\n", name, int(step) + 1, recent);
  }
  return recent;
}

}  // namespace

int main() {
  std::printf("guessing costs %.3f nats\n", std::log(double(labels)));
  const double attention = run<ttt::Attention<float>>("attention", {.width = width, .heads = 2});
  const double ttt_linear = run<ttt::TttLinear<float>>("TTT-Linear", {.width = width, .heads = 2});
  return attention < 0.5 && ttt_linear < 0.5 ? 0 : 1;
}
