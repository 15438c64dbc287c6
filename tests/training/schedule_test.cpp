// SPDX-License-Identifier: MIT
#include "ttt/training/schedule.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/golden_folder.hpp"
#include "ttt/io/safetensors.hpp"

using ttt::testing::error_lacks;
using ttt::training::CosineSchedule;

TEST_CASE("The schedule of the transformers library") {
  const auto golden = ttt::io::SafetensorsFile::open(ttt::golden::folder() / "kernel/cosine_warmup.safetensors");
  const auto rates = golden.values<double>("lr");
  const CosineSchedule schedule{0.003, 5, 40, 0};
  REQUIRE(rates.size() == 43);
  for (std::size_t step = 0; step <= 40; ++step)
    CHECK(schedule(static_cast<double>(step)) == Approx(rates[step]).epsilon(0).margin(1e-14));
}

TEST_CASE("Warm-up, half a cosine, and the final rate for ever") {
  const CosineSchedule schedule{2, 4, 12, 0.1};
  CHECK(schedule(0) == 0);
  CHECK(schedule(1) == 0.5);
  CHECK(schedule(4) == 2);
  CHECK(schedule(8) == Approx(1.1));  // halfway between 2 and 0.2
  CHECK(schedule(12) == Approx(0.2));
  CHECK(schedule(1e9) == Approx(0.2));
  for (double position = 4; position < 12; position += 0.25) CHECK(schedule(position + 0.25) < schedule(position));
}

TEST_CASE("The position may be a share of the time") {
  const CosineSchedule updates{3e-3, 100, 1000, 0.1}, time{3e-3, 0.1, 1, 0.1};
  for (const double share : {0.0, 0.05, 0.1, 0.3, 0.99, 1.0}) CHECK(time(share) == Approx(updates(1000 * share)));
}

TEST_CASE("No warm-up, and nothing but warm-up") {
  CHECK(CosineSchedule{1, 0, 10, 0}(0) == 1);
  CHECK(CosineSchedule{1, 10, 10, 0.5}(9) == Approx(0.9));
  CHECK(CosineSchedule{1, 10, 10, 0.5}(10) == 0.5);
}

TEST_CASE("Numbers that are no schedule are errors") {
  CHECK_NOTHROW(CosineSchedule{}.check());
  CHECK(error_lacks([&] { CosineSchedule{-1, 0, 10, 0}.check(); }, {"peak"}) == "");
  CHECK(error_lacks([&] { CosineSchedule{1, 0, 0, 0}.check(); }, {"total"}) == "");
  CHECK(error_lacks([&] { CosineSchedule{1, 11, 10, 0}.check(); }, {"warmup"}) == "");
  CHECK(error_lacks([&] { CosineSchedule{1, 0, 10, 1.5}.check(); }, {"final fraction"}) == "");
}
