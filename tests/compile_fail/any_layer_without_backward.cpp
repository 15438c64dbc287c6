// SPDX-License-Identifier: MIT
// expect: layer.backward(parameters, record, x, y, gradients, d_states, context)
#include "ttt/layers/any_sequence_layer.hpp"

struct Untrainable {
  using Scalar = float;
  using Config = ttt::Index;
  using State = ttt::State<float>;
  using Record = int;
  struct Parameters {
    using Scalar = float;
    void visit(ttt::ParameterVisitor<float>) {}
  };
  explicit Untrainable(Config) {}

  ttt::Index width() const { return 1; }
  Parameters make_parameters() const { return {}; }
  std::shared_ptr<const ttt::StateLayout> state_layout(ttt::Index) const { return nullptr; }
  State initial_state(const Parameters&, ttt::Index) const { return {}; }
  void reset(const Parameters&, State&) const {}
  bool accepts(const State&) const { return true; }
  bool accepts(const Parameters&) const { return true; }
  bool accepts(const Record&) const { return true; }
  bool accepts_gradients(const Parameters&) const { return true; }
  std::size_t record_bytes(ttt::Index) const { return 0; }
  void forward(const Parameters&, ttt::MatrixView<const float>, std::span<const ttt::Segment<State>>,
               ttt::MatrixView<float>, ttt::Context&, Record* = nullptr) const {}
#if !defined(TTT_BROKEN)
  void backward(const Parameters&, Record&, ttt::MatrixView<const float>, ttt::MatrixView<float>, Parameters&,
                std::span<State* const>, ttt::Context&) const {}
#endif
};

ttt::AnySequenceLayer<float> layer(Untrainable(4));
