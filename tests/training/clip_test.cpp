// SPDX-License-Identifier: MIT
#include "ttt/training/clip.hpp"

#include <array>
#include <cmath>
#include <limits>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "training/tiny_model.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;

namespace {

template <class Scalar>
ParameterStore<typename testing::TinyModel<Scalar>::Parameters> random_store() {
  ParameterStore<typename testing::TinyModel<Scalar>::Parameters> store(
      testing::TinyModel<Scalar>{3001, 7}.make_parameters());
  initialize(store.views(), 3);
  return store;
}

template <class Scalar>
double naive_norm(const ParameterGroups& groups, const Buffer<Scalar>& values) {
  long double sum = 0;
  for (const auto& tensor : groups.tensors())
    for (Index i = 0; i < tensor.size && !tensor.frozen; ++i) {
      const auto value = static_cast<long double>(values[tensor.offset + i]);
      sum += value * value;
    }
  return static_cast<double>(std::sqrt(sum));
}

}  // namespace

TEMPLATE_TEST_CASE("The norm is that of all gradients that are not frozen", "", float, double) {
  auto store = random_store<TestType>();
  Context context;
  const std::array<GroupRule, 1> rules{GroupRule{"embedding*", 1, {}, true}};
  const ParameterGroups all(store), part(store, rules);
  // Pairwise-like sums of 42 000 squares, all positive: each lane adds at most 2048 of them in double.
  const double bound = 2100 * std::numeric_limits<double>::epsilon();
  CHECK(gradient_norm(all, store.arena(), context) == Approx(naive_norm(all, store.arena())).epsilon(bound));
  CHECK(gradient_norm(part, store.arena(), context) == Approx(naive_norm(part, store.arena())).epsilon(bound));
  CHECK(gradient_norm(part, store.arena(), context) < 0.8 * gradient_norm(all, store.arena(), context));
}

TEST_CASE("The bits of norm and clipped gradients do not depend on the threads") {
  Context serial;
  auto expected = random_store<float>();
  const double norm = clip_gradients(ParameterGroups(expected), expected.arena(), 0.1, serial);
  for (const Index workers : {2, 3}) {
    ThreadPool pool(workers);
    Context context(pool);
    auto store = random_store<float>();
    CHECK(clip_gradients(ParameterGroups(store), store.arena(), 0.1, context) == norm);
    CHECK(store.arena() == expected.arena());
  }
}

TEST_CASE("Clipping scales by max_norm / (norm + 1e-6), and only down") {
  auto store = random_store<double>();
  const auto before = store.arena();
  const ParameterGroups groups(store);
  Context context;
  const double norm = clip_gradients(groups, store.arena(), 1e9, context);
  CHECK(store.arena() == before);
  CHECK(clip_gradients(groups, store.arena(), norm / 2, context) == norm);
  for (Index i = 0; i < before.size(); i += 97) CHECK(store.arena()[i] == before[i] * (norm / 2 / (norm + 1e-6)));
}

TEST_CASE("A value that is not finite is found and named, and is not spread by clipping") {
  const float bad = GENERATE(std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                             -std::numeric_limits<float>::infinity());
  auto store = random_store<float>();
  const ParameterGroups groups(store);
  Context context;
  CHECK_FALSE(first_not_finite(groups, store.arena()));
  CHECK_NOTHROW(check_finite(groups, store.arena(), "gradient"));
  store.views().head[20000] = bad;
  const auto before = store.arena();
  CHECK_FALSE(is_finite(clip_gradients(groups, store.arena(), 0.1, context)));
  CHECK(store.arena() == before);
  CHECK(first_not_finite(groups, store.arena()) == "head.weight");
  CHECK(error_lacks([&] { check_finite(groups, store.arena(), "gradient"); },
                    {"gradient of 'head.weight' is not finite"}) == "");
  const std::array<GroupRule, 1> rules{GroupRule{"head*", 1, {}, true}};
  CHECK(first_not_finite(ParameterGroups(store, rules), store.arena()) == "head.weight");
}

TEST_CASE("The arena of other parameters is refused") {
  const auto store = random_store<float>();
  const ParameterGroups groups(store);
  Buffer<float> shorter(store.arena().size() - 1);
  Context context;
  CHECK(error_lacks([&] { clip_gradients(groups, shorter, 1, context); },
                    {"arena of gradients", std::to_string(shorter.size() + 1) + " scalars",
                     "found " + std::to_string(shorter.size())}) == "");
  CHECK(error_lacks([&] { first_not_finite(groups, shorter); }, {"arena of values"}) == "");
}

TEST_CASE("Finite is told from the bits") {
  CHECK(is_finite(std::numeric_limits<double>::max()));
  CHECK(is_finite(std::numeric_limits<double>::denorm_min()));
  CHECK(is_finite(-0.0));
  CHECK_FALSE(is_finite(std::numeric_limits<double>::infinity()));
  CHECK_FALSE(is_finite(std::numeric_limits<double>::signaling_NaN()));
  CHECK(is_finite(std::numeric_limits<float>::lowest()));
  CHECK_FALSE(is_finite(-std::numeric_limits<float>::quiet_NaN()));
}
