// SPDX-License-Identifier: MIT
#include "ttt/training/adamw.hpp"

#include <limits>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/golden_folder.hpp"
#include "training/tiny_model.hpp"
#include "ttt/io/safetensors.hpp"
#include "ttt/training/clip.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;

namespace {

/// The three tensors of the golden file.
struct GoldenParameters {
  using Scalar = double;
  Tensor<double> first{Shape{7, 5}}, second{Shape{5}}, third{Shape{3, 2, 4}};
  void visit(ParameterVisitor<double> visitor) {
    visitor("0", first, parameter::projection);
    visitor("1", second, parameter::projection);
    visitor("2", third, parameter::projection);
  }
};

void read(GoldenParameters& parameters, const io::SafetensorsFile& golden, const std::string& prefix) {
  parameters.visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
    const auto values = golden.values<double>(prefix + std::string(name));
    REQUIRE(static_cast<Index>(values.size()) == tensor.size());
    for (Index i = 0; i < tensor.size(); ++i) tensor[i] = values[static_cast<std::size_t>(i)];
  });
}

void check_equal(const Buffer<double>& found, const Buffer<double>& expected) {
  for (Index i = 0; i < found.size(); ++i) REQUIRE(found[i] == Approx(expected[i]).epsilon(0).margin(1e-12));
}

using Parameters = testing::TinyModel<float>::Parameters;
using Store = ParameterStore<Parameters>;

Store random_store(std::uint64_t seed) {
  Store store(testing::TinyModel<float>{3001, 7}.make_parameters());
  initialize(store.views(), seed);
  return store;
}

}  // namespace

TEST_CASE("Five clipped updates of PyTorch's AdamW") {
  const auto golden = io::SafetensorsFile::open(golden::folder() / "kernel/adamw.safetensors");
  ParameterStore<GoldenParameters> parameters{GoldenParameters{}}, gradients{GoldenParameters{}},
      expected{GoldenParameters{}};
  AdamW<double> optimizer({0.9, 0.95, 1e-8, 0.1}, parameters);
  Context context;
  read(parameters.views(), golden, "p0.");
  const auto norms = golden.values<double>("global_norm");
  for (std::size_t step = 1; step <= 5; ++step) {
    read(gradients.views(), golden, "g" + std::to_string(step) + ".");
    const double norm = clip_gradients(optimizer.groups(), gradients.arena(), 1.0, context);
    CHECK(norm == Approx(norms[step - 1]).epsilon(1e-14));
    optimizer.step(parameters.arena(), gradients.arena(), 0.01, context);
    read(expected.views(), golden, "p" + std::to_string(step) + ".");
    check_equal(parameters.arena(), expected.arena());
  }
  read(expected.views(), golden, "exp_avg.");
  check_equal(optimizer.first_moments(), expected.arena());
  read(expected.views(), golden, "exp_avg_sq.");
  check_equal(optimizer.second_moments(), expected.arena());
  CHECK(optimizer.steps() == 5);
}

TEST_CASE("The pack body of the update agrees with one lane") {
  const Index count = 37;
  Buffer<float> gradients(count), packed(count), packed_first(count), packed_second(count);
  const RandomStream random(1, "values");
  for (Index i = 0; i < count; ++i) {
    const auto counter = static_cast<std::uint64_t>(4 * i);
    gradients[i] = static_cast<float>(random.normal(counter));
    packed[i] = static_cast<float>(random.normal(counter + 1));
    packed_first[i] = static_cast<float>(random.normal(counter + 2));
    packed_second[i] = static_cast<float>(random.uniform(counter + 3));
  }
  auto lane = packed, lane_first = packed_first, lane_second = packed_second;
  const AdamWCoefficients coefficients{0.99, 0.9, 0.95, 0.02, 0.6, 1e-8};
  adamw_update(coefficients, count, gradients.data(), packed.data(), packed_first.data(), packed_second.data());
  adamw_update<simd::Generic>(coefficients, count, gradients.data(), lane.data(), lane_first.data(),
                              lane_second.data());
  // A handful of roundings, which a compiler may fuse in one body and not in the other; values are of order one.
  const double bound = 16 * std::numeric_limits<float>::epsilon();
  for (Index i = 0; i < count; ++i) {
    CHECK(packed[i] == Approx(lane[i]).epsilon(bound).margin(bound));
    CHECK(packed_first[i] == Approx(lane_first[i]).epsilon(bound).margin(bound));
    CHECK(packed_second[i] == Approx(lane_second[i]).epsilon(bound).margin(bound));
  }
}

TEST_CASE("The bits do not depend on the threads") {
  const auto run = [](Executor& executor) {
    Context context(executor);
    Store parameters = random_store(1);
    AdamW<float> optimizer({}, parameters);
    for (std::uint64_t step = 2; step < 5; ++step)
      optimizer.step(parameters.arena(), random_store(step).arena(), 0.01, context);
    return parameters.arena();
  };
  SerialExecutor serial;
  const auto expected = run(serial);
  CHECK_FALSE(expected == random_store(1).arena());
  for (const Index workers : {2, 3}) {
    ThreadPool pool(workers);
    CHECK(run(pool) == expected);
  }
}

TEST_CASE("Decay is decoupled, only where it belongs, and frozen tensors keep their bits") {
  const auto rule = GENERATE(0, 1, 2);
  std::vector<GroupRule> rules;
  if (rule == 1) rules = {{"head*", 1, false, false}, {"gate", 1, true, false}};
  if (rule == 2) rules = {{"head*", 1, {}, true}, {"gate", 0.5, true, false}};
  Store parameters = random_store(1), before = parameters;
  const Store gradients(testing::TinyModel<float>{3001, 7}.make_parameters());  // all zero: only decay is left
  AdamW<float> optimizer({0.9, 0.95, 1e-8, 0.5}, parameters, rules);
  Context context;
  optimizer.step(parameters.arena(), gradients.arena(), 0.1, context);
  const auto kept = [](float value, double rate) { return static_cast<float>(1 - rate * 0.5) * value; };
  CHECK(parameters.views().embedding[100] == kept(before.views().embedding[100], 0.1));
  CHECK(parameters.views().gate[3] == kept(before.views().gate[3], rule == 0 ? 0 : rule == 1 ? 0.1 : 0.05));
  for (Index i = 0; i < before.views().head.size(); i += 50)
    REQUIRE(parameters.views().head[i] == kept(before.views().head[i], rule == 0 ? 0.1 : 0));
}

TEST_CASE("The first update moves every parameter by the learning rate times its factor") {
  Store parameters = random_store(1), before = parameters, gradients = random_store(2);
  const std::vector<GroupRule> rules{{"gate", 0.25, {}, false}};
  AdamW<float> optimizer({0.9, 0.95, 1e-8, 0}, parameters, rules);
  Context context;
  optimizer.step(parameters.arena(), gradients.arena(), 0.01, context);
  const auto moved = [](float after, float start) {
    return std::abs(static_cast<double>(after) - static_cast<double>(start));
  };
  // m / √v of one gradient is ±1; the parameters, of order 0.1, are rounded to float.
  CHECK(moved(parameters.views().embedding[5], before.views().embedding[5]) == Approx(0.01).epsilon(1e-4));
  CHECK(moved(parameters.views().gate[5], before.views().gate[5]) == Approx(0.0025).epsilon(1e-4));
}

TEST_CASE("Settings that are no optimiser are errors") {
  const Store parameters = random_store(1);
  CHECK(error_lacks([&] { AdamW<float>({1, 0.95, 1e-8, 0.1}, parameters); }, {"beta1"}) == "");
  CHECK(error_lacks([&] { AdamW<float>({0.9, -0.1, 1e-8, 0.1}, parameters); }, {"beta2"}) == "");
  CHECK(error_lacks([&] { AdamW<float>({0.9, 0.95, 0, 0.1}, parameters); }, {"epsilon"}) == "");
  CHECK(error_lacks(
            [&] {
              AdamW<float>({0.9, 0.95, 1e-8, std::numeric_limits<double>::quiet_NaN()}, parameters);
            },
            {"decay"}) == "");
}

TEST_CASE("Arenas of other parameters are refused, and nothing changes") {
  Store parameters = random_store(1);
  const Store before = parameters;
  AdamW<float> optimizer({}, parameters);
  Buffer<float> shorter(parameters.arena().size() - 1);
  Context context;
  CHECK(error_lacks([&] { optimizer.step(parameters.arena(), shorter, 0.1, context); }, {"arena of gradients"}) == "");
  CHECK(error_lacks([&] { optimizer.step(shorter, parameters.arena(), 0.1, context); }, {"arena of parameters"}) == "");
  CHECK(optimizer.steps() == 0);
  CHECK(parameters.arena() == before.arena());
}
