// SPDX-License-Identifier: MIT
#include "ttt/io/safetensors.hpp"

#include <sys/resource.h>
#include <sys/wait.h>

#include <cmath>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/io/safetensors_writer.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

const std::filesystem::path golden = TTT_GOLDEN_DIR;

std::string little_endian(std::uint64_t value) {
  std::string bytes(sizeof(value), '\0');
  std::memcpy(bytes.data(), &value, sizeof(value));
  return bytes;
}

std::string file_bytes(const std::string& header, const std::string& data) {
  return little_endian(header.size()) + header + data;
}

std::string refusal(const std::string& bytes) {
  const TemporaryFolder folder;
  folder.write("hostile.safetensors", bytes);
  return error_message([&] { SafetensorsFile::open(folder / "hostile.safetensors"); });
}

const std::string small_header = R"({"t":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})";

}  // namespace

TEST_CASE("every golden file opens and every tensor is read") {
  std::size_t files = 0;
  for (const auto& item : std::filesystem::recursive_directory_iterator(golden)) {
    if (item.path().extension() != ".safetensors") continue;
    const SafetensorsFile file = SafetensorsFile::open(item.path());
    ++files;
    for (const TensorInfo& info : file.tensors()) {
      CAPTURE(item.path(), info.name);
      CHECK(file.find(info.name) == &info);
      if (info.dtype == DType::I64 || info.dtype == DType::I32) {
        CHECK(file.values<std::int64_t>(info.name).size() == info.count());
      } else {
        const std::vector<double> values = file.values<double>(info.name);
        CHECK(std::all_of(values.begin(), values.end(), [](double value) { return std::isfinite(value); }));
      }
    }
  }
  CHECK(files >= 40);
}

TEST_CASE("values, shapes and metadata of a golden file are those of its description") {
  const SafetensorsFile file = SafetensorsFile::open(golden / "layer/ttt_linear_transformer.safetensors");
  CHECK(file.at("x").shape == std::vector<std::int64_t>{2, 53, 32});
  CHECK(file.at("x").dtype == DType::F64);
  CHECK(file.metadata().at("dtype") == "float64");
  const std::vector<double> x = file.values<double>("x");
  std::span<const std::byte> bytes = file.bytes(file.at("x"));
  REQUIRE(bytes.size() == x.size() * sizeof(double));
  CHECK(std::memcmp(bytes.data(), x.data(), bytes.size()) == 0);
  const std::vector<double> eta = file.values<double>("mid.token_eta");
  REQUIRE(eta.size() == 16);
  CHECK(eta.front() > eta.back());
  CHECK(contains(error_message([&] { file.values<float>("x"); }), "ttt_linear_transformer", "'x'", "found F64"));
  CHECK(file.values<float>("x", Narrowing::rounded)[7] == static_cast<float>(x[7]));
}

TEST_CASE("a missing name is null or an error with file and name") {
  const SafetensorsFile file = SafetensorsFile::open(golden / "kernel/rmsnorm.safetensors");
  CHECK(file.find("absent") == nullptr);
  CHECK(contains(error_message([&] { file.at("absent"); }), "rmsnorm.safetensors", "'absent'"));
  std::vector<double> out(3, 9.0);
  CHECK(contains(error_message([&] { file.read("x", std::span(out)); }), "expected 3 elements"));
  CHECK(out == std::vector<double>(3, 9.0));
  TensorInfo foreign = file.at("x");
  foreign.end = foreign.begin + 1'000'000'000;
  CHECK_THROWS_AS(file.bytes(foreign), ttt::Error);
}

TEST_CASE("a tensor of a type that is not read keeps nobody from the others") {
  const ttt::testing::TemporaryFolder folder;
  const auto member = [](const std::string& name, const std::string& type, const std::string& shape,
                         const std::string& offsets) {
    return "\"" + name + "\":{\"dtype\":\"" + type + "\",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}";
  };
  const std::string header = "{" + member("scale", "F8_E4M3", "[4]", "[0,4]") + "," +
                             member("blocks", "Q4_K", "[1099511627776]", "[4,8]") + "," +
                             member("w", "F32", "[2]", "[8,16]") + "}";
  const std::array<float, 4> data{0, 0, 3, -4};
  const std::uint64_t length = header.size();
  const std::string path =
      folder.write("mixed.safetensors", std::string(reinterpret_cast<const char*>(&length), sizeof length) + header +
                                            std::string(reinterpret_cast<const char*>(data.data()), sizeof data));
  for (const Access access : {Access::copied, Access::mapped}) {
    const SafetensorsFile file = SafetensorsFile::open(path, access);
    CHECK(file.values<float>("w") == std::vector<float>{3, -4});
    CHECK(file.bytes(file.at("blocks")).size() == 4);
    CHECK(contains(error_message([&] { file.values<float>("scale"); }), "mixed.safetensors, tensor 'scale'",
                   "found F8_E4M3"));
    // A count that no bytes are behind takes no memory.
    CHECK(contains(error_message([&] { file.values<double>("blocks"); }), "'blocks'", "found Q4_K"));
    CHECK(contains(error_message([&] { file.values<std::int64_t>("blocks"); }), "'blocks'", "found Q4_K"));
    std::vector<float> out(4, 9);
    CHECK(contains(error_message([&] { file.read("scale", std::span(out)); }), "'scale'", "found F8_E4M3"));
    CHECK(out == std::vector<float>(4, 9));
  }
}

TEST_CASE("copies share bytes that outlive the first") {
  auto first = std::make_unique<SafetensorsFile>(SafetensorsFile::open(golden / "kernel/rmsnorm.safetensors"));
  const std::vector<double> expected = first->values<double>("weight");
  const SafetensorsFile second = *first;
  first.reset();
  CHECK(second.values<double>("weight") == expected);
}

TEST_CASE("a mapped file and bytes in memory are the same file as a copied one") {
  for (const auto& entry : std::filesystem::recursive_directory_iterator(golden / "layer")) {
    if (entry.path().extension() != ".safetensors") continue;
    const std::string text = read_bytes(entry.path());
    const SafetensorsFile copied = SafetensorsFile::open(entry.path());
    const SafetensorsFile mapped = SafetensorsFile::open(entry.path(), Access::mapped);
    const SafetensorsFile parsed = SafetensorsFile::parse(std::as_bytes(std::span(text)), "these bytes");
    REQUIRE(mapped.tensors().size() == copied.tensors().size());
    REQUIRE(parsed.tensors().size() == copied.tensors().size());
    for (const TensorInfo& info : copied.tensors()) {
      const auto expected = copied.bytes(info);
      CHECK(std::ranges::equal(mapped.bytes(mapped.at(info.name)), expected));
      mapped.release(mapped.at(info.name));
      CHECK(std::ranges::equal(mapped.bytes(mapped.at(info.name)), expected));
      CHECK(std::ranges::equal(parsed.bytes(parsed.at(info.name)), expected));
    }
    CHECK(mapped.metadata() == copied.metadata());
    CHECK(parsed.metadata() == copied.metadata());
  }
  CHECK(contains(error_message([] { SafetensorsFile::parse({}, "nothing"); }), "nothing", "at least 8 bytes"));
}

TEST_CASE("a mapped file stays as it was when another takes its place, and when it is gone") {
  const TemporaryFolder folder;
  const std::vector<float> values{1, 2, 3};
  const auto write = [&](float first) {
    std::vector<float> now = values;
    now[0] = first;
    write_safetensors(folder / "a.safetensors", std::vector{tensor_source("x", {3}, std::span<const float>(now))});
  };
  write(1);
  const SafetensorsFile file = SafetensorsFile::open(folder / "a.safetensors", Access::mapped);
  write(7);
  CHECK(file.values<float>("x") == values);
  std::filesystem::remove(folder / "a.safetensors");
  file.release(file.at("x"));
  CHECK(file.values<float>("x") == values);
}

TEST_CASE("a valid small file opens, and no shorter or longer one does") {
  const std::string valid = file_bytes(small_header, "abcd");
  CHECK(refusal(valid).empty());
  for (std::size_t size = 0; size < valid.size(); ++size) {
    CAPTURE(size);
    CHECK(contains(refusal(valid.substr(0, size)), "hostile.safetensors", "expected", "found"));
  }
  CHECK(contains(refusal(valid + "x"), "as its header says", "more behind its end"));
  CHECK(contains(refusal(valid + std::string(1000, '\0')), "more behind its end"));
}

TEST_CASE("a header length that wraps or exceeds the file is refused") {
  const std::uint64_t length = GENERATE(as<std::uint64_t>{}, ~0ull, ~0ull - 7, ~0ull - 8, 1ull << 63, 100'000'000ull,
                                        100'000'001ull, 1ull << 32, 1017ull);
  CAPTURE(length);
  CHECK(contains(refusal(little_endian(length) + std::string(1016, ' ')), "header of at most 1016",
                 std::to_string(length)));
}

TEST_CASE("a header longer than the format allows is refused although the file holds it") {
  const TemporaryFolder folder;
  folder.write("long", little_endian(maximum_header_size + 1));
  std::filesystem::resize_file(folder / "long", maximum_header_size + 100);
  CHECK(contains(error_message([&] { SafetensorsFile::open(folder / "long"); }), "at most 100000000 bytes"));
}

TEST_CASE("a file that claims much or is large but wrong is refused within little memory") {
  const TemporaryFolder folder;
  folder.write("sparse", file_bytes(small_header, "abcd"));
  std::filesystem::resize_file(folder / "sparse", 1ull << 36);
  folder.write("claim", little_endian(100'000'000) + small_header);
  const pid_t child = ::fork();
  if (child == 0) {
    // A child that may use 64 MB of new memory: anything sized after the claims ends in bad_alloc, which is no Error.
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t limit = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit memory{limit, limit};
    ::setrlimit(RLIMIT_AS, &memory);
    int refused = 0;
    for (const char* name : {"sparse", "claim"}) {
      try {
        SafetensorsFile::open(folder / name);
      } catch (const ttt::Error&) {
        ++refused;
      } catch (const std::bad_alloc&) {
      }
    }
    ::_exit(refused);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(WEXITSTATUS(status) == 2);
}

TEST_CASE("flipping any byte of a file gives an error or a file whose every byte can be read") {
  const std::string header = R"({"__metadata__":{"k":"v"},"a":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},)"
                             R"("b":{"dtype":"BOOL","shape":[2],"data_offsets":[8,10]}})";
  const std::string valid = file_bytes(header, "abcdefgh" + std::string("\0\1", 2));
  const TemporaryFolder folder;
  std::size_t accepted = 0;
  std::size_t refused = 0;
  for (std::size_t position = 0; position < 8 + header.size(); ++position) {
    for (const int replacement : {0, 1, 0x20, 0x22, 0x30, 0x39, 0x5B, 0x5C, 0x7B, 0x7D, 0x80, 0xFF}) {
      std::string bytes = valid;
      bytes[position] = static_cast<char>(replacement);
      folder.write("flipped", bytes);
      try {
        const SafetensorsFile file = SafetensorsFile::open(folder / "flipped");
        unsigned sum = 0;
        for (const TensorInfo& info : file.tensors()) {
          for (const std::byte byte : file.bytes(info)) sum += std::to_integer<unsigned>(byte);
        }
        accepted += sum == 805;
      } catch (const ttt::Error&) {
        ++refused;
      }
    }
  }
  CHECK(accepted + refused == 12 * (8 + header.size()));
  CHECK(accepted > 0);
  CHECK(refused > accepted);
}
