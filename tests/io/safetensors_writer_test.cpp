// SPDX-License-Identifier: MIT
#include "ttt/io/safetensors_writer.hpp"

#include <algorithm>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/io/safetensors.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

const std::vector<float> floats{1, 2, 3, 4, 5, 6};
const std::vector<double> doubles{0.1};
const std::vector<std::int64_t> longs{-1, 1LL << 40};
const std::vector<std::int32_t> ints{-7};
const std::vector<std::uint8_t> small{9, 8, 7};
const bool booleans[] = {true, false};
const std::vector<std::uint16_t> halves{0x3C00, 0xC000};

std::vector<TensorSource> all_types() {
  return {tensor_source("bool", {2}, std::span<const bool>(booleans)),
          tensor_source("b.float", {2, 3}, std::span(floats)),
          tensor_source("u8", {3, 1}, std::span(small)),
          {"half", DType::F16, {2}, std::as_bytes(std::span(halves))},
          {"bfloat", DType::BF16, {2}, std::as_bytes(std::span(halves))},
          tensor_source("i32", {1}, std::span(ints)),
          tensor_source("a.float", {6}, std::span(floats)),
          tensor_source("double \"\\\n\xE2\x82\xAC", {}, std::span(doubles)),
          tensor_source("i64", {2}, std::span(longs)),
          tensor_source("empty", {0, 5}, std::span<const float>())};
}

std::string refusal(const std::vector<TensorSource>& tensors, const Metadata& metadata = {}) {
  const TemporaryFolder folder;
  const std::string error = error_message([&] { write_safetensors(folder / "a.safetensors", tensors, metadata); });
  CHECK(folder.file_count() == (error.empty() ? 1u : 0u));
  return error;
}

}  // namespace

TEST_CASE("what is written is read back, with every type, odd names and metadata") {
  const TemporaryFolder folder;
  const Metadata metadata{{"format", "pt"}, {"", "empty key"}, {"text", "line\n\"quoted\" \xE2\x82\xAC \x01"}};
  write_safetensors(folder / "a.safetensors", all_types(), metadata);
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors");
  CHECK(file.metadata() == metadata);
  CHECK(file.tensors().size() == all_types().size());
  for (const TensorSource& source : all_types()) {
    CAPTURE(source.name);
    const TensorInfo& info = file.at(source.name);
    CHECK(info.dtype == source.dtype);
    CHECK(info.shape == source.shape);
    CHECK(std::ranges::equal(file.bytes(info), source.bytes));
    CHECK(info.begin % dtype_size(info.dtype) == 0);
  }
  CHECK(file.values<float>("half") == std::vector<float>{1, -2});
  CHECK(file.values<std::int64_t>("bool") == std::vector<std::int64_t>{1, 0});
}

TEST_CASE("the bytes are those of the reference writer") {
  const TemporaryFolder folder;
  const std::vector<TensorSource> tensors{tensor_source("y", {3}, std::span(small)),
                                          tensor_source("x", {2, 3}, std::span(floats))};
  write_safetensors(folder / "a", tensors, {{"k", "v"}});
  const std::string header = R"({"__metadata__":{"k":"v"},"x":{"dtype":"F32","shape":[2,3],"data_offsets":[0,24]},)"
                             R"("y":{"dtype":"U8","shape":[3],"data_offsets":[24,27]}})";
  const std::string padded = header + std::string((8 - header.size() % 8) % 8, ' ');
  std::string expected(1, static_cast<char>(padded.size()));
  expected += std::string(7, '\0') + padded;
  expected.append(reinterpret_cast<const char*>(floats.data()), 24).append("\x9\x8\x7");
  CHECK(read_bytes(folder / "a") == expected);
  write_safetensors(folder / "none", {});
  CHECK(read_bytes(folder / "none") == std::string("\x8\0\0\0\0\0\0\0{}      ", 16));
}

TEST_CASE("tensors come by falling alignment, then by name") {
  const TemporaryFolder folder;
  write_safetensors(folder / "a", all_types());
  std::string order;
  const SafetensorsFile file = SafetensorsFile::open(folder / "a");
  for (const TensorInfo& info : file.tensors()) order += std::string(dtype_name(info.dtype)) + " ";
  CHECK(order == "I64 F64 F32 F32 F32 I32 BF16 F16 U8 BOOL ");
}

TEST_CASE("golden files are written as the same tensors, and those of one element type as the same bytes") {
  const TemporaryFolder folder;
  const std::filesystem::path golden = TTT_GOLDEN_DIR;
  for (const std::string name :
       {"layer/ttt_linear_mamba", "decode/ttt_mlp_mamba", "kernel/rmsnorm", "model/llama/model"}) {
    CAPTURE(name);
    const std::filesystem::path path = golden / (name + ".safetensors");
    const SafetensorsFile file = SafetensorsFile::open(path);
    std::vector<TensorSource> tensors;
    for (const TensorInfo& info : file.tensors())
      tensors.push_back({info.name, info.dtype, info.shape, file.bytes(info)});
    std::reverse(tensors.begin(), tensors.end());
    write_safetensors(folder / "copy", tensors, file.metadata());
    const SafetensorsFile copy = SafetensorsFile::open(folder / "copy");
    for (const TensorInfo& info : file.tensors()) {
      CHECK(copy.at(info.name).shape == info.shape);
      CHECK(std::ranges::equal(copy.bytes(copy.at(info.name)), file.bytes(info)));
    }
    const bool same_bytes = read_bytes(folder / "copy") == read_bytes(path);
    CHECK((same_bytes || name.starts_with("decode")));
  }
}

TEST_CASE("tensors that no reader would accept are refused before a file exists") {
  const auto of_float = [](const std::string& name, std::vector<std::int64_t> shape) {
    return tensor_source(name, std::move(shape), std::span(floats));
  };
  CHECK(refusal({of_float("a", {6})}).empty());
  CHECK(contains(refusal({of_float("a", {7})}), "tensor 'a'", "F32 [7]", "24 bytes"));
  CHECK(contains(refusal({of_float("a", {-2, -3})}), "tensor 'a'"));
  CHECK(contains(refusal({of_float("a", {1LL << 62, 16, 6})}), "tensor 'a'"));
  CHECK(contains(refusal({of_float("a", std::vector<std::int64_t>(65, 1))}), "tensor 'a'"));
  CHECK(contains(refusal({of_float("a", {6}), of_float("b", {6}), of_float("a", {2, 3})}), "'a' twice"));
  CHECK(contains(refusal({of_float("__metadata__", {6})}), "reserved"));
  CHECK(contains(refusal({of_float("\xFF", {6})}), "UTF-8"));
  CHECK(contains(refusal({}, {{"k", "\xC0\x80"}}), "metadata 'k'", "UTF-8"));
}

TEST_CASE("a failed write leaves the old file") {
  const TemporaryFolder folder;
  folder.write("a", "old");
  const std::vector<TensorSource> wrong{tensor_source("a", {7}, std::span(floats))};
  CHECK_THROWS_AS(write_safetensors(folder / "a", wrong), ttt::Error);
  CHECK(read_bytes(folder / "a") == "old");
}
