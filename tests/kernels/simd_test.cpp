// SPDX-License-Identifier: MIT
#include "ttt/kernels/simd.hpp"

#include <cmath>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/architectures.hpp"
#include "kernels/numbers.hpp"
#include "ttt/kernels/simd/pairs.hpp"

using namespace ttt;

namespace {

// Lane by lane: what `operation` on packs gives for the inputs a, b, c of each lane.
template <class P, class Scalar, class Operation>
std::vector<Scalar> lanes(const std::vector<Scalar>& a, const std::vector<Scalar>& b, const std::vector<Scalar>& c,
                          Operation operation) {
  std::vector<Scalar> result(static_cast<std::size_t>(P::size));
  P(operation(P::load(a.data()), P::load(b.data()), P::load(c.data()))).store(result.data());
  return result;
}

template <class Scalar>
std::vector<Scalar> random_lanes(Index size, const char* name) {
  std::vector<Scalar> values;
  for (Index i = 0; i < size; ++i)
    values.push_back(static_cast<Scalar>(RandomStream(5, name).normal(static_cast<std::uint64_t>(i))));
  return values;
}

using Packs = decltype(std::tuple_cat(architectures::Packs<float>(), architectures::Packs<double>()));
template <class P>
using ScalarOf = decltype(simd::reduce_add(P()));
template <class P>
struct ArchOf;
template <class Scalar, class Arch>
struct ArchOf<simd::Pack<Scalar, Arch>> {
  using Type = Arch;
};

static_assert(architectures::is_fused<simd::Native>() == simd::fused_scalar);

}  // namespace

TEMPLATE_LIST_TEST_CASE("arithmetic of packs is that of their lanes", "", Packs) {
  using Scalar = ScalarOf<TestType>;
  const auto a = random_lanes<Scalar>(TestType::size, "a"), b = random_lanes<Scalar>(TestType::size, "b"),
             c = random_lanes<Scalar>(TestType::size, "c");
  const auto check = [&](auto packed, auto scalar) {
    const auto result = lanes<TestType>(a, b, c, packed);
    for (std::size_t i = 0; i < result.size(); ++i) CHECK(result[i] == scalar(a[i], b[i], c[i]));
  };
  check([](auto x, auto y, auto) { return x + y; }, [](Scalar x, Scalar y, Scalar) { return x + y; });
  check([](auto x, auto y, auto) { return x - y; }, [](Scalar x, Scalar y, Scalar) { return x - y; });
  check([](auto x, auto y, auto) { return x * y; }, [](Scalar x, Scalar y, Scalar) { return x * y; });
  check([](auto x, auto y, auto) { return x / y; }, [](Scalar x, Scalar y, Scalar) { return x / y; });
  check([](auto x, auto, auto) { return simd::sqrt(x * x); },
        [](Scalar x, Scalar, Scalar) { return std::sqrt(x * x); });
  check([](auto x, auto y, auto) { return simd::max(x, y); }, [](Scalar x, Scalar y, Scalar) { return x > y ? x : y; });
  check([](auto x, auto y, auto) { return simd::min(x, y); }, [](Scalar x, Scalar y, Scalar) { return x < y ? x : y; });
  check([](auto x, auto y, auto z) { return simd::select(x < y, y, z); },
        [](Scalar x, Scalar y, Scalar z) { return x < y ? y : z; });
  check([](auto, auto, auto) { return TestType(Scalar(0.1)); }, [](Scalar, Scalar, Scalar) { return Scalar(0.1); });
  if (simd::fused_scalar && architectures::is_fused<typename ArchOf<TestType>::Type>())
    check([](auto x, auto y, auto z) { return simd::fma(x, y, z); },
          [](Scalar x, Scalar y, Scalar z) { return std::fma(x, y, z); });
}

TEMPLATE_LIST_TEST_CASE("packs load and store without alignment and touch nothing else", "", Packs) {
  using Scalar = ScalarOf<TestType>;
  const auto values = random_lanes<Scalar>(TestType::size + 1, "values");
  std::vector<Scalar> target(values.size() + 1, Scalar(-7));
  TestType::load(values.data() + 1).store(target.data() + 1);
  CHECK(target.front() == -7);
  CHECK(target.back() == -7);
  CHECK(std::equal(values.begin() + 1, values.end(), target.begin() + 1));
}

TEMPLATE_LIST_TEST_CASE("sum and maximum across lanes", "", Packs) {
  using Scalar = ScalarOf<TestType>;
  std::vector<Scalar> values(static_cast<std::size_t>(TestType::size));
  for (std::size_t place = 0; place < values.size(); ++place) {
    Scalar sum = 0;
    for (std::size_t i = 0; i < values.size(); ++i) sum += values[i] = -static_cast<Scalar>(i) - 2;
    sum += 100 - values[place];
    values[place] = 100;
    CHECK(simd::reduce_add(TestType::load(values.data())) == sum);  // small whole numbers: exact in any order
    CHECK(simd::reduce_max(TestType::load(values.data())) == 100);
  }
}

TEMPLATE_LIST_TEST_CASE("a limit never hides a NaN that is the second argument", "", Packs) {
  using Scalar = ScalarOf<TestType>;
  const std::vector<Scalar> nan(static_cast<std::size_t>(TestType::size), std::numeric_limits<Scalar>::quiet_NaN());
  const std::vector<Scalar> one(nan.size(), Scalar(1));
  for (const Scalar value : lanes<TestType>(one, nan, one, [](auto x, auto y, auto) { return simd::max(x, y); }))
    CHECK(std::isnan(value));
  for (const Scalar value : lanes<TestType>(one, nan, one, [](auto x, auto y, auto) { return simd::min(x, y); }))
    CHECK(std::isnan(value));
}

TEMPLATE_LIST_TEST_CASE("scaling by a power of two is exact", "", Packs) {
  using Scalar = ScalarOf<TestType>;
  const Scalar magic = std::ldexp(Scalar(1.5), sizeof(Scalar) == 4 ? 23 : 52);
  for (const int power : {-100, -1, 0, 1, 17, 100})
    CHECK(simd::reduce_max(
              simd::scale_by_power_of_two(TestType(Scalar(1.25)), TestType(magic + static_cast<Scalar>(power)))) ==
          std::ldexp(Scalar(1.25), power));
}

TEMPLATE_TEST_CASE("for_each_pack visits every index once: packs first, lanes last", "", float, double) {
  using Wide = simd::Pack<TestType, simd::Native>;
  for (Index count = 0; count <= 3 * Wide::size + 1; ++count) {
    std::vector<int> visits(static_cast<std::size_t>(count), 0);
    Index next = 0, packs = 0;
    simd::for_each_pack<TestType, simd::Native>(count, [&]<class P>(P, Index i) {
      CHECK(i == next);
      next = i + P::size;
      packs += P::size == Wide::size && Wide::size > 1 ? 1 : 0;
      for (Index lane = 0; lane < P::size; ++lane) ++visits[static_cast<std::size_t>(i + lane)];
    });
    CHECK(next == count);
    CHECK(packs == (Wide::size > 1 ? count / Wide::size : 0));
    for (const int visit : visits) CHECK(visit == 1);
  }
}

TEMPLATE_TEST_CASE("sum_packs sums every index of a row", "", float, double) {
  for (Index count = 0; count <= 70; ++count) {
    std::vector<TestType> values;
    for (Index i = 0; i < count; ++i) values.push_back(static_cast<TestType>(i * i % 31));
    TestType expected = 0;
    for (const TestType value : values) expected += value;
    const auto load = [&]<class P>(P, Index i) { return P::load(values.data() + i); };
    CHECK((simd::sum_packs<TestType, simd::Native>(count, load) == expected));
    CHECK((simd::sum_packs<TestType, simd::Generic>(count, load) == expected));
  }
}

TEMPLATE_TEST_CASE("pairs of bfloat16 widen to the halves of their bits", "", simd::Native, simd::Generic) {
  using P = simd::Pack<float, TestType>;
  const std::uint32_t pairs[] = {0x3F804000, 0xBF80C000, 0x00018001, 0x7F80FF80, 0x7FC1FFC1, 0x80000000, 0x12345678};
  for (std::size_t first = 0; first < std::size(pairs); ++first) {
    std::vector<float> values(static_cast<std::size_t>(P::size)), lower = values, upper = values;
    for (std::size_t i = 0; i < values.size(); ++i)
      values[i] = std::bit_cast<float>(pairs[(first + i) % std::size(pairs)]);
    simd::widen_lower(P::load(values.data())).store(lower.data());
    simd::widen_upper(P::load(values.data())).store(upper.data());
    for (std::size_t i = 0; i < values.size(); ++i) {
      CHECK(std::bit_cast<std::uint32_t>(lower[i]) == pairs[(first + i) % std::size(pairs)] << 16);
      CHECK(std::bit_cast<std::uint32_t>(upper[i]) == (pairs[(first + i) % std::size(pairs)] & 0xFFFF0000));
    }
  }
}

TEMPLATE_LIST_TEST_CASE("floats narrow to pairs of the bfloat16 next to them", "", architectures::Packs<float>) {
  // Ties to either side, what rounds to infinity, infinities, NaN with little and with all payload, denormals, zeros.
  const std::uint32_t bits[] = {0x3F808000, 0x3F818000, 0x3F808001, 0x3F807FFF, 0x7F7FFFFF, 0xFF800000, 0x7F800001,
                                0xFFFFFFFF, 0x00008001, 0x80000001, 0x80000000, 0x00000000, 0xC2F70123};
  constexpr std::size_t count = std::size(bits), size = static_cast<std::size_t>(TestType::size);
  const auto value = [&](std::size_t i) { return std::bit_cast<float>(bits[i % count]); };
  for (std::size_t first = 0; first < count; ++first)
    for (std::size_t step = 1; step < count; ++step) {
      float lower[size], upper[size], pairs[size];
      for (std::size_t i = 0; i < size; ++i) {
        lower[i] = value(first + i);
        upper[i] = value(first + step + i);
      }
      simd::narrow_pairs(TestType::load(lower), TestType::load(upper)).store(pairs);
      std::size_t wrong = 0;
      for (std::size_t i = 0; i < size; ++i)
        wrong += std::bit_cast<std::uint32_t>(pairs[i]) !=
                 (static_cast<std::uint32_t>(float_to_bfloat16(upper[i])) << 16 | float_to_bfloat16(lower[i]));
      CHECK(wrong == 0);
    }
}

TEMPLATE_LIST_TEST_CASE("a multiply-add of pairs is that of the upper halves, then that of the lower ones", "",
                        architectures::Packs<float>) {
  using P = simd::Pack<float, simd::Pairs<typename ArchOf<TestType>::Type>>;
  constexpr std::size_t size = static_cast<std::size_t>(P::size);
  for (int round = 0; round < 20; ++round) {
    const std::string name = std::to_string(round);
    const auto c = random_lanes<float>(P::size, ("c" + name).c_str());
    float a[size], b[size], halves[4][size], found[size];
    for (std::size_t h = 0; h < 4; ++h) {
      const auto values = random_lanes<float>(P::size, ("half " + std::to_string(h) + name).c_str());
      for (std::size_t i = 0; i < size; ++i) halves[h][i] = rounded_to_bfloat16(values[i]);
    }
    simd::narrow_pairs(TestType::load(halves[0]), TestType::load(halves[1])).store(a);
    simd::narrow_pairs(TestType::load(halves[2]), TestType::load(halves[3])).store(b);
    const P left = P::load(a);
    simd::in_register(simd::fma(left, simd::in_register(P::load(b)), P::load(c.data()))).store(found);
    for (std::size_t i = 0; i < size; ++i)
      CHECK(found[i] == std::fma(halves[0][i], halves[2][i], std::fma(halves[1][i], halves[3][i], c[i])));
  }
}
