// SPDX-License-Identifier: MIT
#include "ttt/core/random.hpp"

#include <algorithm>
#include <cmath>
#include <vector>

#include "support/catch.hpp"

using namespace ttt;
using Words = std::array<std::uint32_t, 4>;

TEST_CASE("Philox4x32-10 gives the known answers of its authors") {
  CHECK(philox({0, 0, 0, 0}, {0, 0}) == Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  CHECK(philox({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, {0xffffffff, 0xffffffff}) ==
        Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd});
  CHECK(philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}) ==
        Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1});
}

TEST_CASE("a stream takes index and stream as counter and the seed as key") {
  const RandomStream random(0x299f31d0a4093822U, std::uint64_t{0x0370734413198a2e});
  CHECK(random.bits(0x85a308d3243f6a88U) == 0x94fdccebd16cfe09U);
}

TEST_CASE("names are hashed with FNV-1a") {
  CHECK(detail::hash_name("") == 0xcbf29ce484222325U);
  CHECK(detail::hash_name("a") == 0xaf63dc4c8601ec8cU);
  CHECK(detail::hash_name("foobar") == 0x85944171f73967e8U);
  CHECK(RandomStream(3, "foobar").bits(5) == RandomStream(3, std::uint64_t{0x85944171f73967e8}).bits(5));
}

TEST_CASE("the logarithm by arithmetic is that of the library to a few ulp") {
  for (int exponent = -900; exponent <= 900; exponent += 7)
    for (const double mantissa : {1.0, 1.2, 1.4142135, 1.4142136, 1.7, 1.9999999}) {
      const double x = std::ldexp(mantissa, exponent), expected = std::log(x);
      CHECK(std::abs(detail::portable_log(x) - expected) <= 4e-16 * std::max(1e-3, std::abs(expected)));
    }
}

TEST_CASE("quantiles of the normal distribution") {
  CHECK(detail::inverse_normal(0.5) == 0);
  const std::pair<double, double> known[] = {{0.25, -0.6744897501960817}, {0.975, 1.959963984540054},
                                             {0.001, -3.090232306167813}, {1e-10, -6.361340902404056},
                                             {1e-20, -9.262340089798408}, {0.9999, 3.719016485455709}};
  for (const auto& [p, quantile] : known)
    CHECK(std::abs(detail::inverse_normal(p) - quantile) <= 1e-14 * std::abs(quantile));
  // The three pieces meet: erfc inverts each.
  for (double p = 1e-12; p < 0.5; p *= 1.37)
    CHECK(std::erfc(-detail::inverse_normal(p) / std::sqrt(2.0)) / 2 == Approx(p).epsilon(1e-13));
  for (double p = 0.01; p < 0.5; p += 0.01)
    CHECK(detail::inverse_normal(1 - p) == Approx(-detail::inverse_normal(p)).epsilon(1e-13));
}

TEST_CASE("uniform numbers lie in the open interval and are uniform, normal ones are normal") {
  const RandomStream random(7, "moments");
  constexpr std::uint64_t count = 20000;
  double mean = 0, square = 0, normal_mean = 0, normal_square = 0, fourth = 0;
  std::array<int, 10> tenths{};
  for (std::uint64_t i = 0; i < count; ++i) {
    const double u = random.uniform(i), z = random.normal(i);
    CHECK_FALSE((u <= 0 || u >= 1));
    ++tenths[static_cast<std::size_t>(u * 10)];
    mean += u / count, square += u * u / count;
    normal_mean += z / count, normal_square += z * z / count, fourth += z * z * z * z / count;
  }
  // Five standard errors each.
  const double error = 5 / std::sqrt(static_cast<double>(count));
  CHECK(std::abs(mean - 0.5) < error * std::sqrt(1.0 / 12));
  CHECK(std::abs(square - 1.0 / 3) < error * std::sqrt(4.0 / 45));
  CHECK(std::abs(normal_mean) < error);
  CHECK(std::abs(normal_square - 1) < error * std::sqrt(2.0));
  CHECK(std::abs(fourth - 3) < error * std::sqrt(96.0));
  for (const int tenth : tenths) CHECK(std::abs(tenth - 2000) < 5 * std::sqrt(2000 * 0.9));
}

TEST_CASE("integers below a bound are the high part of a product, and reach both ends") {
  const RandomStream random(9, "below");
  __extension__ using Wide = unsigned __int128;
  for (const std::uint64_t bound :
       {std::uint64_t{1}, std::uint64_t{7}, std::uint64_t{1000003}, std::uint64_t{0xffffffff}}) {
    for (std::uint64_t i = 0; i < 500; ++i)
      CHECK(random.below(i, bound) == static_cast<std::uint64_t>((Wide{random.bits(i)} * bound) >> 64));
  }
  std::array<int, 7> seen{};
  for (std::uint64_t i = 0; i < 700; ++i) ++seen[random.below(i, 7)];
  CHECK(*std::min_element(seen.begin(), seen.end()) > 50);
}

TEST_CASE("normal numbers have the same bits on every machine and with every compiler") {
  const RandomStream random(1, "normal");
  std::uint64_t hash = 0;
  for (std::uint64_t i = 0; i < 4000; ++i)
    hash = hash * 0x100000001b3U + std::bit_cast<std::uint64_t>(random.normal(i));
  CHECK(hash == 0xc51f70ce5b5d01d9U);
}
