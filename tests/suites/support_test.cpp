// SPDX-License-Identifier: MIT
// The tools of the tests, which could make every test pass if they were broken.
#include <cmath>
#include <cstdlib>
#include <functional>
#include <limits>
#include <new>

#include "support/allocation_hook.hpp"
#include "support/catch.hpp"
#include "support/central_difference.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/golden.hpp"

// Eigen defines a __has_feature that knows nothing where the compiler has none.
#if defined(__SANITIZE_THREAD__)
#define TTT_TEST_THREAD_SANITIZER 1
#elif defined(__has_feature)
#define TTT_TEST_THREAD_SANITIZER __has_feature(thread_sanitizer)
#else
#define TTT_TEST_THREAD_SANITIZER 0
#endif

namespace {

using namespace ttt;

struct Two {
  using Scalar = float;
  Tensor<float> weight, bias;
  std::string second = "bias";
  void visit(ParameterVisitor<float> visitor) {
    visitor("weight", weight, parameter::projection);
    visitor(second, bias, parameter::zero);
  }
};

golden::Set two_arrays() {
  return {"two", {{"param.weight", {{2, 3}, {1, 2, 3, 4, 5, 6}}}, {"param.bias", {{2}, {7, 8}}}, {"x", {{1}, {9}}}}};
}

}  // namespace

TEST_CASE("The allocation hook counts every way to get memory") {
  void* volatile pointer = nullptr;
  const auto counted = [&](auto allocate, auto release) {
    const std::uint64_t before = ttt::testing::allocations();
    pointer = allocate();
    const std::uint64_t count = ttt::testing::allocations() - before;
    release(pointer);
    return count;
  };
  CHECK(counted([] { return ::operator new(40); }, [](void* p) { ::operator delete(p); }) == 1);
  CHECK(counted([] { return ::operator new (64, std::align_val_t{64}); },
                [](void* p) { ::operator delete (p, std::align_val_t{64}); }) == 1);
#if defined(__GLIBC__)
  const auto release = [](void* p) { std::free(p); };
  CHECK(counted([] { return std::malloc(40); }, release) == 1);
  CHECK(counted([] { return std::calloc(5, 8); }, release) == 1);
  CHECK(counted([] { return std::realloc(nullptr, 40); }, release) == 1);
#if !TTT_TEST_THREAD_SANITIZER
  CHECK(counted([] { return std::aligned_alloc(64, 128); }, release) == 1);
  CHECK(counted(
            [] {
              void* memory = nullptr;
              return posix_memalign(&memory, 64, 100) == 0 ? memory : nullptr;
            },
            release) == 1);
#endif
#endif
  CHECK(counted([] { return nullptr; }, [](void*) {}) == 0);
}

TEST_CASE("Comparisons find what differs") {
  using testing::bits_differ;
  using testing::far_apart;
  const std::vector<double> values{1, -2, 0};
  CHECK(bits_differ(values, values).empty());
  CHECK_FALSE(bits_differ(values, {1, -2, -0.0}).empty());
  CHECK_FALSE(bits_differ(values, {1, -2}).empty());
  CHECK(far_apart(values, {1, -2 * (1 + 1e-13), 1e-13}, 1e-12).empty());
  CHECK(far_apart({1, -2, 3e-12}, values, 1e-12).find("element 2") == 0);
  CHECK_FALSE(far_apart({1, std::numeric_limits<double>::quiet_NaN(), 0}, values, 1e-12).empty());
  CHECK_FALSE(far_apart(std::vector<double>{1}, values, 1e-12).empty());
}

TEST_CASE("Central differences and samples of indices") {
  double value = 0.7;
  const double slope = testing::central_difference([&] { return std::sin(value); }, value);
  CHECK(std::abs(slope - std::cos(0.7)) < 1e-9);
  CHECK(value == 0.7);
  CHECK(testing::sample_indices(5, 5, 2, 1) == std::vector<Index>{0, 1, 2, 3, 4});
  const auto some = testing::sample_indices(1000, 96, 40, 1);
  CHECK(some.size() == 40);
  CHECK(some.front() == 0);
  CHECK(some.back() == 999);
  CHECK(std::adjacent_find(some.begin(), some.end(), std::greater_equal<>()) == some.end());
}

TEST_CASE("Golden sets are loaded from one file and from shards") {
  const auto single = golden::load("layer/ttt_linear_mamba");
  CHECK(single.at("param.W1").shape == std::vector<Index>{2, 16, 16});
  const auto shards = golden::load("layer/ttt_mlp_mamba");
  CHECK(shards.at("param.W1").shape == std::vector<Index>{2, 16, 64});
  CHECK(shards.at("param.W2").values.size() == 2 * 64 * 16);
  CHECK(golden::load("decode/ttt_linear_mamba").at("prefill_len").values == std::vector<double>{32});
  CHECK_THROWS_AS(single.at("no such tensor"), Error);
  CHECK_THROWS_AS(golden::load("layer/no_such_set"), Error);
}

TEST_CASE("Golden parameters are assigned all or not at all") {
  ParameterStore<Two> store(Two{Tensor<float>({2, 3}, Layout::panels), Tensor<float>({2})});
  golden::assign(store.views(), two_arrays(), "param.");
  for (Index i = 0; i < 6; ++i) CHECK(store.views().weight[i] == static_cast<float>(i + 1));
  CHECK(store.views().bias[1] == 8);

  const auto refuse = [&](auto change) {
    auto set = two_arrays();
    set.arrays.at("param.weight").values[0] = 100;
    change(set);
    const auto message = testing::error_message([&] { golden::assign(store.views(), set, "param."); });
    CHECK(store.views().weight[0] == 1);
    return message;
  };
  CHECK(refuse([](auto& set) { set.arrays.erase("param.bias"); }) ==
        "golden set two: expected a tensor 'param.bias', found none");
  CHECK(refuse([](auto& set) {
          set.arrays["param.more"] = {{1}, {1}};
        }) == "golden set two: expected 2 tensors under 'param.', found 3");
  CHECK(refuse([](auto& set) {
          set.arrays["param.bias"].shape = {1, 2};
        }) == "golden set two, param.bias: expected [2], found [1 x 2]");
}
