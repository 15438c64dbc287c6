// SPDX-License-Identifier: MIT
#include "ttt/io/tensor_bytes.hpp"

#include <limits>

#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;

namespace {

// Reads elements that start at an odd address, as they may in a file.
template <class Scalar, class Stored>
std::vector<Scalar> read_as(DType dtype, const std::vector<Stored>& stored, Narrowing narrowing = Narrowing::refused) {
  const std::size_t size = stored.size() * sizeof(Stored);
  std::vector<std::byte> memory(size + 1);
  std::memcpy(memory.data() + 1, stored.data(), size);
  const TensorInfo info{"t", dtype, {static_cast<std::int64_t>(stored.size())}, 0, size};
  std::vector<Scalar> out(stored.size());
  read_tensor(info, std::span<const std::byte>(memory).subspan(1), std::span(out), narrowing, "file, tensor 't'");
  return out;
}

}  // namespace

TEST_CASE("floating types widen exactly") {
  CHECK(read_as<double>(DType::F64, std::vector<double>{0.1, -2}) == std::vector<double>{0.1, -2});
  CHECK(read_as<double>(DType::F32, std::vector<float>{0.1f}) == std::vector<double>{static_cast<double>(0.1f)});
  CHECK(read_as<float>(DType::F32, std::vector<float>{0.1f, -3}) == std::vector<float>{0.1f, -3});
  CHECK(read_as<float>(DType::F16, std::vector<std::uint16_t>{0x3C00, 0xC000}) == std::vector<float>{1, -2});
  CHECK(read_as<double>(DType::BF16, std::vector<std::uint16_t>{0x3F80, 0xC000}) == std::vector<double>{1, -2});
}

TEST_CASE("whole numbers and booleans widen to 64 bits") {
  CHECK(read_as<std::int64_t>(DType::I64, std::vector<std::int64_t>{-5, 1LL << 40}) ==
        std::vector<std::int64_t>{-5, 1LL << 40});
  CHECK(read_as<std::int64_t>(DType::I32, std::vector<std::int32_t>{-5, 7}) == std::vector<std::int64_t>{-5, 7});
  CHECK(read_as<std::int64_t>(DType::U8, std::vector<std::uint8_t>{0, 255}) == std::vector<std::int64_t>{0, 255});
  CHECK(read_as<std::int64_t>(DType::BOOL, std::vector<std::uint8_t>{0, 1}) == std::vector<std::int64_t>{0, 1});
}

TEST_CASE("double is rounded to float only when asked") {
  const std::vector<double> values{0.1, 1e300};
  const auto refused = [&] { read_as<float>(DType::F64, values); };
  CHECK(contains(error_message(refused), "file, tensor 't'", "F32, F16, BF16", "found F64"));
  const std::vector<float> rounded = read_as<float>(DType::F64, values, Narrowing::rounded);
  CHECK(rounded == std::vector<float>{0.1f, std::numeric_limits<float>::infinity()});
}

TEST_CASE("kinds do not mix") {
  CHECK_THROWS_AS(read_as<float>(DType::I64, std::vector<std::int64_t>{1}), ttt::Error);
  CHECK_THROWS_AS(read_as<double>(DType::BOOL, std::vector<std::uint8_t>{1}), ttt::Error);
  CHECK_THROWS_AS(read_as<std::int64_t>(DType::F32, std::vector<float>{1}), ttt::Error);
  CHECK(contains(error_message([] {
                   read_as<std::int64_t>(DType::BOOL, std::vector<std::uint8_t>{1, 2});
                 }),
                 "0 and 1"));
}

TEST_CASE("a wrong number of elements is refused and nothing is written") {
  const TensorInfo info{"t", DType::F32, {2, 3}, 0, 24};
  const std::vector<std::byte> bytes(24);
  std::vector<float> out(5, 9.0f);
  const auto action = [&] {
    read_tensor(info, std::span<const std::byte>(bytes), std::span(out), Narrowing::refused, "file");
  };
  CHECK(contains(error_message(action), "expected 5 elements", "found 6 in shape [2, 3]"));
  CHECK(out == std::vector<float>(5, 9.0f));
}
