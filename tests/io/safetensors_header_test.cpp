// SPDX-License-Identifier: MIT
#include "ttt/io/safetensors_header.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;

namespace {

std::string entry(const std::string& name, const std::string& dtype, const std::string& shape,
                  const std::string& offsets) {
  return "\"" + name + "\":{\"dtype\":\"" + dtype + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
}

std::string refusal(const std::string& text, std::size_t data_size) {
  return error_message([&] { parse_safetensors_header(text, data_size, "file"); });
}

}  // namespace

TEST_CASE("tensors come in the order of their bytes, whatever the order of the header") {
  const std::string text = "{" + entry("b", "F32", "[2,1]", "[8,16]") + "," + entry("a", "I64", "[]", "[0,8]") + "," +
                           entry("empty", "BF16", "[3,0]", "[8,8]") + ",\"__metadata__\":{\"k\":\"v\\n\"}}   ";
  const SafetensorsHeader header = parse_safetensors_header(text, 16, "file");
  REQUIRE(header.tensors.size() == 3);
  CHECK(header.tensors[0].name == "a");
  CHECK(header.tensors[0].shape.empty());
  CHECK(header.tensors[0].count() == 1);
  CHECK(header.tensors[1].name == "empty");
  CHECK(header.tensors[1].count() == 0);
  CHECK(header.tensors[2].dtype == DType::F32);
  CHECK(header.tensors[2].shape == std::vector<std::int64_t>{2, 1});
  CHECK(header.tensors[2].begin == 8);
  CHECK(header.metadata == Metadata{{"k", "v\n"}});
}

TEST_CASE("a header without tensors is valid before no data") {
  CHECK(parse_safetensors_header("{}", 0, "file").tensors.empty());
  CHECK(parse_safetensors_header("{\"__metadata__\":null}", 0, "file").metadata.empty());
  CHECK(contains(refusal("{}", 1), "expected 10 bytes, as its header says", "found 11: there is more"));
}

TEST_CASE("a shape whose product wraps is refused, to zero as well as to the size of the data") {
  CHECK(contains(refusal("{" + entry("t", "F32", "[4294967296,4294967296]", "[0,0]") + "}", 0), "file, tensor 't'",
                 "counted"));
  CHECK(contains(refusal("{" + entry("t", "F32", "[4611686018427387905]", "[0,4]") + "}", 4), "counted"));
  CHECK(contains(refusal("{" + entry("t", "F64", "[2305843009213693952]", "[0,0]") + "}", 0), "counted"));
  CHECK(contains(refusal("{" + entry("t", "U8", "[9223372036854775808]", "[0,0]") + "}", 0), "below 2^63"));
  CHECK(refusal("{" + entry("t", "F32", "[0,4294967296,4294967296]", "[0,0]") + "}", 0).empty());
}

TEST_CASE("shape and offsets must give the same size, in both directions") {
  CHECK(contains(refusal("{" + entry("t", "F32", "[4]", "[0,8]") + "}", 8), "tensor 't'", "16 bytes for F32 [4]",
                 "[0, 8]"));
  CHECK(contains(refusal("{" + entry("t", "F32", "[1]", "[0,8]") + "}", 8), "tensor 't'", "4 bytes for F32 [1]",
                 "[0, 8]"));
}

TEST_CASE("offsets lie in order within the data") {
  CHECK(contains(refusal("{" + entry("t", "U8", "[4]", "[8,4]") + "}", 8), "in order", "[8, 4]"));
  CHECK(contains(refusal("{" + entry("t", "U8", "[1]", "[18446744073709551615,0]") + "}", 8), "in order"));
  CHECK(contains(refusal("{" + entry("t", "U8", "[1]", "[18446744073709551614,18446744073709551615]") + "}", 8),
                 "of at most", "[18446744073709551614, 18446744073709551615]"));
  CHECK(contains(refusal("{" + entry("t", "U8", "[4]", "[4,8]") + "}", 8), "from byte 0", "[4, 8]"));
  CHECK_FALSE(refusal("{" + entry("t", "U8", "[1]", "[-1,0]") + "}", 8).empty());
  CHECK_FALSE(refusal("{" + entry("t", "U8", "[1]", "[0]") + "}", 1).empty());
  CHECK_FALSE(refusal("{" + entry("t", "U8", "[1]", "[0,1,1]") + "}", 1).empty());
}

TEST_CASE("tensors cover the data without overlap, hole or rest") {
  const std::string first = entry("a", "U8", "[4]", "[0,4]");
  CHECK(contains(refusal("{" + first + "," + entry("b", "U8", "[4]", "[2,6]") + "}", 6), "tensor 'b'", "from byte 4",
                 "overlap"));
  CHECK(contains(refusal("{" + first + "," + entry("b", "U8", "[4]", "[0,4]") + "}", 4), "tensor 'b'", "overlap"));
  CHECK(contains(refusal("{" + first + "," + entry("b", "U8", "[2]", "[6,8]") + "}", 8), "tensor 'b'", "hole"));
  CHECK(contains(refusal("{" + entry("a", "U8", "[4]", "[1,5]") + "}", 5), "from byte 0"));
  const std::size_t begin = 8 + first.size() + 2;
  CHECK(contains(refusal("{" + first + "}", 5), "expected " + std::to_string(begin + 4) + " bytes",
                 "found " + std::to_string(begin + 5) + ": there is more"));
}

TEST_CASE("a file that ends before its data is called truncated, with the bytes it should have and has") {
  const std::string text = "{" + entry("a", "F32", "[4]", "[0,16]") + "," + entry("b", "U8", "[9]", "[16,25]") + "}";
  for (std::size_t size = 0; size < 25; ++size)
    CHECK(refusal(text, size) == "file: expected " + std::to_string(8 + text.size() + 25) +
                                     " bytes, as its header says, found " + std::to_string(8 + text.size() + size) +
                                     ": the file is truncated");
  CHECK(refusal(text, 25).empty());
  // As far as sums of sizes go without wrapping.
  const auto with_end = [](std::size_t end) {
    return "{" + entry("t", "Q4", "[]", "[0," + std::to_string(end) + "]") + "}";
  };
  const std::size_t most = std::numeric_limits<std::size_t>::max(), begin = 8 + with_end(most).size();
  CHECK(contains(refusal(with_end(most - begin), 8), "expected 18446744073709551615 bytes", "the file is truncated"));
  CHECK(contains(refusal(with_end(most - begin + 1), 8), "of at most " + std::to_string(most - begin)));
}

TEST_CASE("types that nobody here reads are known by their names, and nothing else about them is let pass") {
  const SafetensorsHeader header = parse_safetensors_header(
      "{" + entry("a", "I8", "[3]", "[0,3]") + "," + entry("b", "Q4_K", "[2,128]", "[3,7]") + "," +
          entry("c", "F4", "[2,3]", "[7,10]") + "," + entry("d", "F32", "[1]", "[10,14]") + "}",
      14, "file");
  REQUIRE(header.tensors.size() == 4);
  for (std::size_t i = 0; i < 3; ++i) CHECK(header.tensors[i].dtype == DType::other);
  CHECK(header.tensors[0].type() == "I8");
  CHECK(header.tensors[1].type() == "Q4_K");
  CHECK(header.tensors[1].count() == 256);
  CHECK(header.tensors[2].count() == 6);
  CHECK(header.tensors[3].type() == "F32");
  CHECK(contains(refusal("{" + entry("t", "I16", "[4]", "[0,4]") + "}", 4), "8 bytes for I16 [4]", "[0, 4]"));
  CHECK(contains(refusal("{" + entry("t", "F8_E4M3", "[4]", "[0,8]") + "}", 8), "4 bytes for F8_E4M3 [4]"));
  CHECK(contains(refusal("{" + entry("t", "F4", "[3]", "[0,2]") + "}", 2), "counted in bytes", "F4 [3]"));
  CHECK(contains(refusal("{" + entry("t", "Q4\\n", "[4294967296,4294967296]", "[0,4]") + "}", 4), "counted",
                 "Q4\\x0a [4294967296"));
  CHECK(contains(refusal("{" + entry("t", "Q4", "[1]", "[8,4]") + "}", 8), "in order"));
  CHECK(contains(refusal("{" + entry("t", "Q4", "[1]", "[1,4]") + "}", 4), "hole"));
  CHECK(contains(refusal("{" + entry("t", "Q4", "[1]", "[0,4]") + "}", 3), "truncated"));
}

TEST_CASE("sizes that are no whole numbers are refused") {
  const auto size = GENERATE(as<std::string>{}, "NaN", "Infinity", "-1", "1.0", "1e0", "\"1\"", "null", "[1]", "true");
  CAPTURE(size);
  CHECK_FALSE(refusal("{" + entry("t", "U8", "[" + size + "]", "[0,1]") + "}", 1).empty());
  CHECK_FALSE(refusal("{" + entry("t", "U8", "[1]", "[0," + size + "]") + "}", 1).empty());
}

TEST_CASE("names and keys occur once") {
  CHECK(contains(refusal("{" + entry("t", "U8", "[1]", "[0,1]") + "," + entry("t", "U8", "[1]", "[1,2]") + "}", 2),
                 "'t' twice"));
  CHECK(
      contains(refusal("{" + entry("t", "U8", "[1]", "[0,1]") + "," + entry("\\u0074", "U8", "[1]", "[1,2]") + "}", 2),
               "'t' twice"));
  CHECK(contains(refusal("{\"__metadata__\":{},\"__metadata__\":{}}", 0), "'__metadata__' twice"));
  CHECK(contains(refusal("{\"__metadata__\":{\"k\":\"1\",\"k\":\"2\"}}", 0), "'k' twice"));
  CHECK(contains(refusal(R"({"t":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}})", 1), "'dtype' twice"));
  CHECK(contains(refusal(R"({"t":{"dtype":"U8","dtype":"U8","data_offsets":[0,1]}})", 1), "'dtype' twice"));
}

TEST_CASE("a tensor has the members of the format, and may have some that are none") {
  CHECK(refusal(R"({"t":{"dtype":"U8","shape":[1],"later":{"a":[1]},"data_offsets":[0,1]}})", 1).empty());
  CHECK(
      contains(refusal(R"({"t":{"dtype":"U8","shape":[1],"x":{"a":1,"a":1},"data_offsets":[0,1]}})", 1), "'a' twice"));
  CHECK(contains(refusal(R"({"t":{"x":1,"dtype":"U8","shape":[1],"x":1,"data_offsets":[0,1]}})", 1), "'x' twice"));
  CHECK(contains(refusal(R"({"t":{"dtype":"U8","shape":[1]}})", 1), "tensor 't'", "dtype, shape and data_offsets"));
  CHECK(contains(refusal(R"({"t":{"dtype":"U8","shape":[1],"offsets":[0,1]}})", 1), "tensor 't'", "offsets"));
  CHECK_FALSE(refusal(R"({"t":{"dtype":7,"shape":[1],"data_offsets":[0,1]}})", 1).empty());
  CHECK_FALSE(refusal(R"({"t":1})", 1).empty());
  CHECK_FALSE(refusal(R"({"__metadata__":{"k":1}})", 0).empty());
}

TEST_CASE("a header is one object from its first byte, in UTF-8") {
  const auto text = GENERATE(as<std::string>{}, "", " {}", "[]", "null", "{}x", "{}{}", "{", "{\"\xFF\":1}");
  CAPTURE(text);
  CHECK(contains(refusal(text, 0), "file"));
}

TEST_CASE("depth, rank and counts are bounded") {
  std::string deep(3000, '[');
  CHECK_FALSE(refusal("{\"t\":{\"shape\":" + deep + "}}", 0).empty());
  CHECK_FALSE(refusal("{\"t\":" + deep, 0).empty());
  std::string shape = "[1";
  for (int i = 1; i < 64; ++i) shape += ",1";
  CHECK(refusal("{" + entry("t", "U8", shape + "]", "[0,1]") + "}", 1).empty());
  CHECK(contains(refusal("{" + entry("t", "U8", shape + ",1]", "[0,1]") + "}", 1), "at most 64 items"));
  std::string metadata = "{\"__metadata__\":{\"k\":\"\"";
  for (std::size_t i = 0; i < maximum_metadata_count; ++i) metadata += ",\"" + std::to_string(i) + "\":\"\"";
  CHECK(contains(refusal(metadata + "}}", 0), "at most 65536 items"));
}
