// SPDX-License-Identifier: MIT
#include "ttt/nn/short_convolution.hpp"

#include "nn/blocks.hpp"
#include "support/allocation_hook.hpp"
#include "ttt/nn/rms_norm.hpp"

using namespace ttt;
using kernels::Activation;
using numbers::Matrix;

namespace {

template <class Scalar>
using Store = ParameterStore<nn::ShortConvolutionParameters<Scalar>>;
/// A planned call and the tail of each of its segments.
template <class Scalar>
struct Call {
  std::vector<PlannedSegment> plan;
  std::vector<MatrixView<Scalar>> tails;

  void add(Index length, bool reset, bool continues, MatrixView<Scalar> tail) {
    plan.push_back({plan.empty() ? 0 : plan.back().end(), length, 0, reset, continues});
    tails.push_back(tail);
  }
};
template <class Scalar>
Call<Scalar> one_segment(Index length, MatrixView<Scalar> tail) {
  Call<Scalar> call;
  call.add(length, false, false, tail);
  return call;
}

/// Of TTT layers, Gated DeltaNet and Mamba.
struct Kind {
  bool has_bias = true;
  Activation activation = Activation::none;
};
constexpr Kind kinds[] = {{}, {false, Activation::silu}, {true, Activation::silu}};

template <class Scalar>
Store<Scalar> make_store(Index width, Index taps, std::uint64_t seed, Kind kind = {}) {
  Store<Scalar> store{nn::ShortConvolutionParameters<Scalar>(width, taps, kind.has_bias, kind.activation)};
  initialize(store.views(), seed);
  return store;
}

// One stream with a document boundary and a continuation in it, one that begins anew, and one that goes on from its
// tail; lengths below and above the tail's, one of them zero. `sequence` tells whose tail a segment has.
struct Part {
  Index length;
  bool reset, continues;
  Index sequence;
};
constexpr Part parts[] = {{5, false, false, 0}, {0, false, true, 0}, {2, false, true, 0},  {1, true, true, 0},
                          {4, false, true, 0},  {7, true, false, 1}, {1, false, false, 2}, {3, false, true, 2}};
constexpr Index sequences = 3, plan_rows = 23;

template <class Scalar>
struct Tails {
  explicit Tails(Index taps, Index width, const char* name) {
    for (Index i = 0; i < sequences; ++i) of.emplace_back(taps - 1, width, std::string(name) + std::to_string(i));
  }
  Call<Scalar> call() {
    Call<Scalar> result;
    for (const auto& [length, reset, continues, sequence] : parts)
      result.add(length, reset, continues, of[static_cast<std::size_t>(sequence)].view());
    return result;
  }
  std::vector<Matrix<Scalar>> of;
};

// Each segment by itself with the kernel, tails carried by hand.
template <class Scalar>
Matrix<Scalar> convolve_by_hand(const nn::ShortConvolutionParameters<Scalar>& parameters, const Matrix<Scalar>& x,
                                Tails<Scalar>& tails) {
  const Index width = parameters.width(), taps = parameters.taps();
  Matrix<Scalar> y(x.view().rows(), width), running(taps - 1, width), weights(taps, width);
  kernels::transpose(parameters.weight.matrix(), weights.view());
  Index first = 0;
  for (const auto& [length, reset, continues, sequence] : parts) {
    auto& tail = tails.of[static_cast<std::size_t>(sequence)];
    if (reset)
      fill(running.view(), Scalar(0));
    else if (!continues)
      running = tail;
    const auto out = y.view().rows(first, length);
    kernels::causal_convolution(x.view().rows(first, length), running.view(), weights.view(), parameters.bias.vector(),
                                out);
    kernels::activate_rows(parameters.activation, out, out);
    kernels::advance_tail(x.view().rows(first, length), running.view());
    tail = running;
    first += length;
  }
  return y;
}

template <class Scalar>
Matrix<Scalar> convolve(const nn::ShortConvolutionParameters<Scalar>& parameters, const Matrix<Scalar>& x,
                        const Call<Scalar>& call, Matrix<Scalar>& initial_tails, Context& context) {
  Matrix<Scalar> y(x.view().rows(), parameters.width());
  nn::convolution_tails(x.view(), call.plan, call.tails, initial_tails.view(), context);
  nn::short_convolution_forward(parameters, x.view(), call.plan, initial_tails.view(), y.view(), context);
  CHECK((y.gaps_untouched() && initial_tails.gaps_untouched()));
  return y;
}

}  // namespace

TEST_CASE("a short convolution's parameters have the published names, shapes and start") {
  Store<double> store = make_store<double>(6, 4, 1);
  std::vector<std::pair<std::string, Shape>> found;
  store.views().visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo& info) {
    found.emplace_back(name, tensor.shape());
    CHECK_FALSE(info.decays);
    for (const double value : tensor.vector()) CHECK((value != 0 && std::abs(value) <= 0.5));
  });
  CHECK(found == std::vector<std::pair<std::string, Shape>>{{"weight", {6, 1, 4}}, {"bias", {6}}});
  Index tensors = 0;
  auto without_bias = make_store<double>(6, 4, 1, kinds[1]);
  without_bias.views().visit([&](std::string_view, Tensor<double>&, const ParameterInfo&) { ++tensors; });
  CHECK(tensors == 1);
}

TEMPLATE_TEST_CASE("segments are convolved one after another from where each starts, on any number of threads", "",
                   float, double) {
  const Kind kind = GENERATE(kinds[0], kinds[1], kinds[2]);
  for (const Index taps : {1, 2, 4, 6})
    for (const Index width : {5, 150}) {
      const auto store = make_store<TestType>(width, taps, 7, kind);
      const Matrix<TestType> x(plan_rows, width, "x");
      Tails<TestType> expected_tails(taps, width, "tail");
      const Matrix<TestType> expected = convolve_by_hand(store.views(), x, expected_tails);
      numbers::on_each_executor([&](Context& context) {
        Tails<TestType> tails(taps, width, "tail");
        Matrix<TestType> initial(static_cast<Index>(std::size(parts)) * (taps - 1), width);
        const auto y = convolve(store.views(), x, tails.call(), initial, context);
        CHECK(numbers::same_bits(y, expected));
        for (std::size_t s = 0; s < tails.of.size(); ++s) {
          CHECK(numbers::same_bits(tails.of[s], expected_tails.of[s]));
          CHECK(tails.of[s].gaps_untouched());
        }
      });
    }
}

TEST_CASE("pieces in several calls give the bits of one call, and one token allocates nothing") {
  const Kind kind = GENERATE(kinds[0], kinds[1], kinds[2]);
  const Index width = 70, taps = 4, tokens = 9;
  const auto store = make_store<float>(width, taps, 7, kind);
  const Matrix<float> x(tokens, width, "x"), start(taps - 1, width, "start");
  Context context;
  Matrix<float> whole_tail = start, tail = start, initial(taps - 1, width), pieces(tokens, width);
  const auto whole = convolve(store.views(), x, one_segment(tokens, whole_tail.view()), initial, context);
  for (Index t = 0; t < tokens; ++t) {
    const auto one = one_segment(1, tail.view());
    const auto before = testing::allocations();
    nn::convolution_tails(x.view().rows(t, 1), one.plan, one.tails, initial.view(), context);
    nn::short_convolution_forward(store.views(), x.view().rows(t, 1), one.plan, initial.view(),
                                  pieces.view().rows(t, 1), context);
    CHECK(testing::allocations() == before);
  }
  CHECK(numbers::same_bits(pieces, whole));
  CHECK(numbers::same_bits(tail, whole_tail));
}

TEST_CASE("a long segment, activated in blocks of its rows, is that of its pieces") {
  const Index width = 9, tokens = 200;
  for (const Index taps : {4, 70}) {
    const auto store = make_store<float>(width, taps, 7, kinds[1]);
    const Matrix<float> x(tokens, width, "x"), start(taps - 1, width, "start");
    Context context;
    Matrix<float> whole_tail = start, tail = start, initial(taps - 1, width), pieces(tokens, width);
    const auto whole = convolve(store.views(), x, one_segment(tokens, whole_tail.view()), initial, context);
    for (Index t = 0; t < tokens; t += 50) {
      Matrix<float> part(50, width);
      copy(x.view().rows(t, 50), part.view());
      copy(convolve(store.views(), part, one_segment(50, tail.view()), initial, context).view(),
           pieces.view().rows(t, 50));
    }
    CHECK(numbers::same_bits(pieces, whole));
    CHECK(numbers::same_bits(tail, whole_tail));
  }
}

TEST_CASE("streams side by side are one wider convolution") {
  const Index width = 5, taps = 4;
  const auto wide = make_store<double>(2 * width, taps, 7, kinds[1]);
  const Matrix<double> x(plan_rows, 2 * width, "x");
  Tails<double> tails(taps, 2 * width, "tail");
  Context context;
  Matrix<double> initial(static_cast<Index>(std::size(parts)) * (taps - 1), 2 * width);
  const auto both = convolve(wide.views(), x, tails.call(), initial, context);
  for (const Index first : {Index{0}, width}) {
    auto narrow = make_store<double>(width, taps, 1, kinds[1]);
    copy(wide.views().weight.matrix().rows(first, width), narrow.views().weight.matrix());
    Matrix<double> y(plan_rows, width);
    nn::short_convolution_forward(narrow.views(), x.view().columns(first, width), tails.call().plan,
                                  std::as_const(initial).view().columns(first, width), y.view(), context);
    CHECK(numbers::same_bits(y.view(), both.view().columns(first, width)));
  }
}

TEST_CASE("no segments and no rows are no work") {
  Context context;
  const auto store = make_store<float>(5, 3, 7);
  const Matrix<float> x(0, 5);
  Matrix<float> initial(2, 5), tail(2, 5, "tail"), nothing(0, 5);
  const Matrix<float> before = tail;
  convolve(store.views(), x, {}, nothing, context);
  convolve(store.views(), x, one_segment(0, tail.view()), initial, context);
  CHECK(numbers::same_bits(tail, before));
  CHECK(numbers::same_bits(initial, before));
}

TEST_CASE("backward through two convolutions of the same rows, their tails and every kind of start") {
  const Kind kind = GENERATE(kinds[0], kinds[2]);
  for (const Index taps : {1, 2, 4, 6}) {
    const Index width = 3;
    auto query = make_store<double>(width, taps, 7, kind), key = make_store<double>(width, taps, 8, kinds[1]);
    Store<double> d_query{nn::ShortConvolutionParameters<double>(width, taps)};
    Store<double> d_key{nn::ShortConvolutionParameters<double>(width, taps, false)};
    Matrix<double> x(plan_rows, width, "x"), d_x(plan_rows, width, "stale");
    const Matrix<double> d_q(plan_rows, width, "d_q"), d_k(plan_rows, width, "d_k");
    Matrix<double> initial(static_cast<Index>(std::size(parts)) * (taps - 1), width), d_initial = initial;
    Tails<double> start(taps, width, "tail"), d_tails(taps, width, "d_tail");
    const Tails<double> d_final = d_tails;
    Context context;
    const auto loss = [&] {
      Tails<double> tails = start;
      const auto q = convolve(query.views(), x, tails.call(), initial, context);
      double sum = numbers::inner_product(q, d_q);
      tails = start;
      sum += numbers::inner_product(convolve(key.views(), x, tails.call(), initial, context), d_k);
      for (std::size_t s = 0; s < tails.of.size(); ++s) sum += numbers::inner_product(tails.of[s], d_final.of[s]);
      return sum;
    };
    loss();
    const auto call = d_tails.call();
    nn::short_convolution_backward(query.views(), x.view(), call.plan, initial.view(), d_q.view(), d_x.view(),
                                   d_initial.view(), d_query.views(), context);
    nn::short_convolution_backward(key.views(), x.view(), call.plan, initial.view(), d_k.view(), d_x.view(),
                                   d_initial.view(), d_key.views(), context, kernels::Output::accumulate);
    nn::convolution_tails_backward(call.plan, call.tails, d_initial.view(), d_x.view(), context);
    numbers::check_gradient(x, d_x, loss);
    for (std::size_t s = 0; s < start.of.size(); ++s) numbers::check_gradient(start.of[s], d_tails.of[s], loss);
    numbers::check_tensor_gradient(query.views().weight, d_query.views().weight, loss);
    numbers::check_tensor_gradient(query.views().bias, d_query.views().bias, loss);
    numbers::check_tensor_gradient(key.views().weight, d_key.views().weight, loss);
  }
}

TEMPLATE_TEST_CASE("backward of a short convolution: threads, tails and gradients that are not wanted", "", float,
                   double) {
  const Kind kind = GENERATE(kinds[0], kinds[2]);
  const Index width = 150, taps = 4;
  const auto store = make_store<TestType>(width, taps, 7, kind), stale = make_store<TestType>(width, taps, 9, kind);
  const Matrix<TestType> x(plan_rows, width, "x"), d_y(plan_rows, width, "d_y");
  const Index rows = static_cast<Index>(std::size(parts)) * (taps - 1);
  Matrix<TestType> initial(rows, width);
  Tails<TestType> tails(taps, width, "tail");
  Context serial;
  convolve(store.views(), x, tails.call(), initial, serial);
  struct Result {
    Matrix<TestType> d_x;
    Store<TestType> gradients;
    Tails<TestType> d_tails;
  };
  const auto run = [&](Context& context, bool with_tails) {
    Result result{Matrix<TestType>(plan_rows, width, "stale"), stale, Tails<TestType>(taps, width, "d_tail")};
    Matrix<TestType> d_initial(rows, width);
    if (!with_tails)
      for (auto& part : result.d_tails.of) fill(part.view(), TestType(0));
    auto call = result.d_tails.call();
    if (!with_tails)
      for (auto& tail : call.tails) tail = {};
    nn::short_convolution_backward(store.views(), x.view(), call.plan, initial.view(), d_y.view(), result.d_x.view(),
                                   d_initial.view(), result.gradients.views(), context);
    nn::convolution_tails_backward(call.plan, call.tails, d_initial.view(), result.d_x.view(), context);
    return result;
  };
  const Result expected = run(serial, true);
  numbers::on_each_executor([&](Context& context) {
    const Result result = run(context, true);
    CHECK(numbers::same_bits(result.d_x, expected.d_x));
    CHECK(result.gradients.arena() == expected.gradients.arena());
    for (std::size_t s = 0; s < result.d_tails.of.size(); ++s)
      CHECK(numbers::same_bits(result.d_tails.of[s], expected.d_tails.of[s]));
  });

  // Without tails: as with gradients of zero, which still chain through segments that go on from the previous one.
  Result zero{Matrix<TestType>(plan_rows, width), stale, Tails<TestType>(taps, width, "d_tail")};
  for (auto& part : zero.d_tails.of) fill(part.view(), TestType(0));
  Matrix<TestType> d_initial(rows, width);
  const auto call = zero.d_tails.call();
  nn::short_convolution_backward(store.views(), x.view(), call.plan, initial.view(), d_y.view(), zero.d_x.view(),
                                 d_initial.view(), zero.gradients.views(), serial);
  nn::convolution_tails_backward(call.plan, call.tails, d_initial.view(), zero.d_x.view(), serial);
  const Result without = run(serial, false);
  CHECK(numbers::same_bits(without.d_x, zero.d_x));

  for (auto& part : zero.d_tails.of) fill(part.view(), TestType(0));
  Matrix<TestType> only(plan_rows, width), d_unused(rows, width);
  nn::ShortConvolutionParameters<TestType> unwanted(width, taps);
  nn::short_convolution_backward(store.views(), x.view(), call.plan, initial.view(), d_y.view(), only.view(),
                                 d_unused.view(), unwanted, serial);
  nn::convolution_tails_backward(call.plan, call.tails, d_unused.view(), only.view(), serial);
  CHECK(numbers::same_bits(only, zero.d_x));
  auto gradients = stale;
  nn::short_convolution_backward(store.views(), x.view(), call.plan, initial.view(), d_y.view(), {}, {},
                                 gradients.views(), serial);
  CHECK(gradients.arena() == expected.gradients.arena());
}

TEST_CASE("a convolution of normalised rows gives the golden values, tail and gradients") {
  const numbers::Golden golden("pre_conv");
  const auto x = golden.matrix("x"), d_y = golden.matrix("d_y"), weight = golden.matrix("conv.weight");
  const Index rows = x.view().rows(), width = x.view().columns(), taps = weight.view().columns();
  const Index batch = golden.batch("x"), tokens = golden.tokens("x");
  auto store = make_store<double>(width, taps, 1);
  Store<double> gradients{nn::ShortConvolutionParameters<double>(width, taps)};
  numbers::Owned<double> norm({width}), d_norm({width});
  copy(weight.view(), store.views().weight.matrix());
  copy(golden.matrix("conv.bias").view(), MatrixView<double>(store.views().bias.data(), 1, width));
  copy(golden.matrix("norm.weight").view(), MatrixView<double>((*norm).data(), 1, width));
  Call<double> call;
  std::vector<Matrix<double>> tails(static_cast<std::size_t>(batch), Matrix<double>(taps - 1, width));
  for (auto& tail : tails) call.add(tokens, true, false, tail.view());
  Context context;
  Matrix<double> normed = x, d_normed = x, d_x = x, initial(batch * (taps - 1), width), d_initial = initial;
  nn::rms_norm_forward(*norm, x.view(), 1e-6, normed.view(), context);
  const auto y = convolve(store.views(), normed, call, initial, context);
  golden.check_value("y", y);
  const auto cache = golden.matrix("cache.pre_conv");  // [B · C × taps]: the last inputs of each channel
  for (Index b = 0; b < batch; ++b)
    for (Index c = 0; c < width; ++c)
      for (Index i = 0; i + 1 < taps; ++i)
        CHECK(std::abs(tails[static_cast<std::size_t>(b)](i, c) - cache(b * width + c, i + 1)) <= 1e-10);
  for (auto& tail : call.tails) tail = {};
  nn::short_convolution_backward(store.views(), normed.view(), call.plan, initial.view(), d_y.view(), d_normed.view(),
                                 d_initial.view(), gradients.views(), context);
  nn::convolution_tails_backward(call.plan, call.tails, d_initial.view(), d_normed.view(), context);
  nn::rms_norm_backward(*norm, x.view(), 1e-6, d_normed.view(), d_x.view(), *d_norm, context);
  golden.check_gradient("grad.x", d_x);
  golden.check_gradient("grad.norm.weight", [&] {
    Matrix<double> row(1, width);
    copy(MatrixView<const double>((*d_norm).data(), 1, width), row.view());
    return row;
  }());
  Matrix<double> d_weight = weight, d_bias(1, width);
  copy(std::as_const(gradients.views().weight).matrix(), d_weight.view());
  copy(MatrixView<const double>(gradients.views().bias.data(), 1, width), d_bias.view());
  golden.check_gradient("grad.conv.weight", d_weight);
  golden.check_gradient("grad.conv.bias", d_bias);
  CHECK(y.view().rows() == rows);
}
