// SPDX-License-Identifier: MIT
#include "ttt/core/domain.hpp"

#include <limits>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "support/error_message.hpp"

namespace {

using namespace ttt;
constexpr double not_a_number = std::numeric_limits<double>::quiet_NaN(),
                 infinity = std::numeric_limits<double>::infinity();
constexpr double denormal = 5e-324, largest = std::numeric_limits<double>::max();

void check_domain(void (*require)(const std::string&, double), const std::vector<double>& inside,
                  const std::vector<double>& outside) {
  for (const double value : inside) {
    INFO(domain::text(value));
    CHECK_NOTHROW(require("a number", value));
  }
  for (const double value : outside) {
    INFO(domain::text(value));
    CHECK_THROWS_AS(require("a number", value), Error);
  }
}

}  // namespace

TEST_CASE("each domain has its numbers and no others") {
  check_domain(domain::positive, {denormal, 1, largest}, {0, -0.0, -1, not_a_number, infinity, -infinity});
  check_domain(domain::positive_float, {1.2e-38, 1, 3.4e38},
               {0, -1, 1e-38, 3.5e38, denormal, not_a_number, infinity, -infinity});
  check_domain(domain::not_negative_float, {0, -0.0, denormal, 1, 3.4e38},
               {-denormal, -1, 3.5e38, not_a_number, infinity, -infinity});
  check_domain(domain::not_negative, {0, -0.0, denormal, 1, largest},
               {-denormal, -1, not_a_number, infinity, -infinity});
  check_domain(domain::fraction, {0, 0.5, 0.999}, {1, 2, -denormal, not_a_number, infinity, -infinity});
  check_domain(domain::share, {0, 0.5, 1}, {1.001, 2, -denormal, not_a_number, infinity, -infinity});
  check_domain(domain::finite, {0, -1, -largest, largest}, {not_a_number, infinity, -infinity});
  for (const Index size : {1, 7, 1 << 30}) CHECK_NOTHROW(domain::size("a size", size));
  for (const Index size : {Index{0}, Index{-1}, (Index{1} << 30) + 1, std::numeric_limits<Index>::max()})
    CHECK_THROWS_AS(domain::size("a size", size), Error);
  CHECK_NOTHROW(domain::at_least("a number", 2, 2));
  CHECK_THROWS_AS(domain::at_least("a number", 2, 1), Error);
}

TEST_CASE("a number outside of its domain is named, with the domain in words") {
  const auto message = testing::error_message([] { domain::not_negative("AdamW: epsilon", -1e-8); });
  CHECK(message == "AdamW: epsilon: expected a finite number of at least 0, found -1e-08");
  CHECK(testing::error_message([] { domain::positive("rope_theta", not_a_number); }).find("found nan") !=
        std::string::npos);
  CHECK(testing::error_message([] { domain::at_least("width", 1, -3); }) == "width: expected at least 1, found -3");
}
