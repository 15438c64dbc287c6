// SPDX-License-Identifier: MIT
#include "ttt/serving/state_blob.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/nested_state.hpp"

using namespace ttt;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::nested_state;

namespace {

State<float> filled() {
  State<float> state = nested_state<float>({3, 0, 5});
  float value = 0.5F;
  for (const StatePart& part : state.layout->parts())
    for (Index row = 0; row < part.rows; ++row)
      for (Index column = 0; column < part.columns; ++column) state[part](row, column) = value *= -1.5F;
  state.values[1] = std::numeric_limits<float>::quiet_NaN();
  state.position = 12345;
  return state;
}

std::string refusal(std::span<const std::byte> bytes, State<float> state = nested_state<float>({3, 0, 5}),
                    const std::string& model = "tiny") {
  const State<float> before = state;
  const std::string message = error_message([&] { restore_state(state, bytes, model, "session 7"); });
  CHECK((message.empty() || state == before));
  return message;
}

/// The blob with `from` replaced by `to`, which is as long.
std::vector<std::byte> changed(std::vector<std::byte> bytes, std::string_view from, std::string_view to) {
  REQUIRE(from.size() == to.size());
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  const std::size_t at = text.find(from);
  REQUIRE(at != std::string_view::npos);
  std::memcpy(bytes.data() + at, to.data(), to.size());
  return bytes;
}

}  // namespace

TEST_CASE("a restored State equals the saved one bit for bit, with its position") {
  State<float> saved = filled();
  const auto bytes = save_state(saved, "tiny");
  State<float> restored = nested_state<float>({3, 0, 5});
  CHECK_FALSE(restored == saved);
  restore_state(restored, bytes, "tiny");
  CHECK(restored == saved);
  CHECK(restored.position == 12345);
  CHECK(save_state(restored, "tiny") == bytes);
}

TEST_CASE("a State of another model, size or scalar is refused and the State untouched") {
  State<float> saved = filled();
  const auto bytes = save_state(saved, "tiny");
  CHECK(contains(refusal(bytes, nested_state<float>({3, 0, 5}), "large"), "session 7", "'model'", "'large'", "'tiny'"));
  CHECK(contains(refusal(bytes, nested_state<float>({3, 0, 6})), "blocks.2.layer.values",
                 "expected 12 numbers, the capacity", "found 10: saved with a smaller capacity"));
  CHECK(contains(refusal(bytes, nested_state<float>({3, 0, 4})), "expected 8 numbers",
                 "found 10: saved with a larger capacity"));
  CHECK(contains(refusal(bytes, nested_state<float>({3, 0})), "session 7", "3 parts", "found 5"));
  CHECK(contains(refusal(bytes, nested_state<float>({3, 0, 5, 1})), "'blocks.3.layer.values'", "none"));
  State<double> wide = nested_state<double>({3, 0, 5});
  CHECK(
      contains(error_message([&] { restore_state(wide, bytes, "tiny"); }), "saved state", "expected F64", "found F32"));
}

TEST_CASE("damage anywhere is found") {
  State<float> saved = filled();
  const auto bytes = save_state(saved, "tiny");
  for (std::size_t position = 0; position < bytes.size(); ++position) {
    CAPTURE(position);
    std::vector<std::byte> damaged = bytes;
    damaged[position] ^= std::byte{1};
    const std::string message = refusal(damaged);
    // White space that pads the header says nothing.
    CHECK((!message.empty() || bytes[position] == std::byte{' '}));
    CHECK_FALSE(refusal(std::span(bytes).first(position)).empty());
  }
}

TEST_CASE("the position is a whole number in range") {
  State<float> saved = filled();
  const auto bytes = save_state(saved, "tiny");
  for (const std::string_view position : {"-2345", "1234x", " 2345", "1e+99", "NaN45", "+2345"}) {
    CAPTURE(position);
    CHECK(contains(refusal(changed(bytes, "12345", position)), "'position'", "whole number"));
  }
  CHECK(contains(refusal(changed(bytes, "12345", "12346")), "'checksum'"));
  saved.position = std::int64_t{1} << 60;
  CHECK(contains(refusal(save_state(saved, "tiny")), "'position'", "whole number"));
}
