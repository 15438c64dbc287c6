// SPDX-License-Identifier: MIT
#include "ttt/io/safetensors_set.hpp"

#include <numeric>

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
const std::vector<float> values{1, 2, 3};

void write_file(const std::filesystem::path& path, const std::vector<std::string>& names) {
  std::vector<TensorSource> tensors;
  for (const std::string& name : names) tensors.push_back(tensor_source(name, {3}, std::span(values)));
  write_safetensors(path, tensors, {{"file", path.filename().string()}});
}

// Two files, `1` with a and c, `2` with b; returns what opening them with `weight_map` says.
std::string refusal(const TemporaryFolder& folder, const std::string& index) {
  write_file(folder / "1.safetensors", {"a", "c"});
  write_file(folder / "2.safetensors", {"b"});
  folder.write("model.safetensors.index.json", index);
  return error_message([&] { open_set(folder.path(), Access::copied, "model"); });
}

std::string map_of(const std::string& entries) {
  return "{\"metadata\":{\"total_size\":36},\"weight_map\":{" + entries + "}}";
}

const std::string good = R"("c":"1.safetensors","b":"2.safetensors","a":"1.safetensors")";

}  // namespace

TEST_CASE("rows of a tensor become tensors of their own, in the same bytes") {
  const TemporaryFolder folder;
  std::vector<float> numbers(10);
  std::iota(numbers.begin(), numbers.end(), 1.0F);
  const auto path = folder / "model.safetensors";
  write_safetensors(path, std::vector{tensor_source("b", {5, 2}, std::span<const float>(numbers)),
                                      tensor_source("d", {}, std::span<const float>(numbers).first(1))});
  SafetensorsSet set = open_set(folder.path(), Access::mapped);
  set.split_rows("b", std::vector<TensorRows>{{"z", 2}, {"a", 0}, {"c", 3}});
  std::string names;
  for (const TensorInfo& info : set.tensors()) names += info.name + shape_text(info.shape) + " ";
  CHECK(names == "a[0, 2] c[3, 2] d[] z[2, 2] ");
  CHECK(set.values<float>("z") == std::vector<float>{1, 2, 3, 4});
  CHECK(set.values<float>("c") == std::vector<float>{5, 6, 7, 8, 9, 10});
  CHECK(set.values<float>("a").empty());
  CHECK(set.values<float>("d") == std::vector<float>{1});
  std::vector<double> read(4);
  set.read("z", std::span(read));
  CHECK(read.back() == 4);
  CHECK(set.bytes(set.at("c")).data() == set.bytes(set.at("z")).data() + 16);
  CHECK(set.find("b") == nullptr);

  const auto refused = [&](const char* name, const std::vector<TensorRows>& parts) {
    SafetensorsSet copied = open_set(folder.path());
    const std::string message = error_message([&] { copied.split_rows(name, parts); });
    CHECK(copied.tensors().size() == 2);
    return message.substr(std::min(message.size(), path.string().size()));
  };
  CHECK(refused("b", {{"x", 2}, {"y", 2}}) == ", tensor 'b': expected 2 + 2 rows, found [5, 2]");
  CHECK(refused("b", {{"x", std::int64_t{1} << 62}, {"y", std::int64_t{1} << 62}}).ends_with("found [5, 2]"));
  CHECK(refused("d", {{"x", 1}}) == ", tensor 'd': expected 1 rows, found []");
  CHECK(refused("b", {{"d", 5}}) == ", tensor 'd': expected it in 'b' only, found it");
  CHECK(refused("c", {{"x", 5}}) == ", tensor 'c': expected a tensor of that name, found none");
}

TEST_CASE("rows of a tensor that do not lie together become tensors of their own") {
  const TemporaryFolder folder;
  std::vector<float> numbers(12);
  std::iota(numbers.begin(), numbers.end(), 1.0F);
  const auto path = folder / "model.safetensors";
  write_safetensors(path, std::vector{tensor_source("b", {6, 2}, std::span<const float>(numbers)),
                                      tensor_source("d", {}, std::span<const float>(numbers).first(1))});
  for (const Access access : {Access::mapped, Access::copied}) {
    SafetensorsSet set = open_set(folder.path(), access);
    set.gather_rows("b", std::vector<GatheredRows>{{"z", {{4, 1}, {0, 2}}}, {"a", {}}, {"c", {{2, 2}, {5, 1}}}});
    std::string names;
    for (const TensorInfo& info : set.tensors()) names += info.name + shape_text(info.shape) + " ";
    CHECK(names == "a[0, 2] c[3, 2] d[] z[3, 2] ");
    CHECK(set.values<float>("z") == std::vector<float>{9, 10, 1, 2, 3, 4});
    CHECK(set.values<float>("c") == std::vector<float>{5, 6, 7, 8, 11, 12});
    CHECK(set.values<float>("d") == std::vector<float>{1});
    CHECK(set.bytes(set.at("c")).size() == 24);
    CHECK(set.file_of("c").path() == path);
    set.release(set.at("c"));
    CHECK(set.values<float>("c").front() == 5);
  }
  const auto refused = [&](const char* name, const std::vector<GatheredRows>& parts) {
    SafetensorsSet copied = open_set(folder.path());
    const std::string message = error_message([&] { copied.gather_rows(name, parts); });
    CHECK(copied.tensors().size() == 2);
    return message.substr(std::min(message.size(), path.string().size()));
  };
  CHECK(refused("b", {{"x", {{0, 5}}}}) == ", tensor 'b': expected 5 rows, found [6, 2]");
  CHECK(refused("d", {{"x", {{0, 1}}}}) == ", tensor 'd': expected 1 rows, found []");
  CHECK(refused("b", {{"d", {{0, 6}}}}) == ", tensor 'd': expected it in 'b' only, found it");
  CHECK(refused("c", {{"x", {{0, 6}}}}) == ", tensor 'c': expected a tensor of that name, found none");
}

TEST_CASE("a sharded golden set is one set of tensors") {
  const SafetensorsSet set = open_set(golden / "layer", Access::copied, "ttt_mlp_mamba");
  const SafetensorsFile second = SafetensorsFile::open(golden / "layer/ttt_mlp_mamba-00002-of-00002.safetensors");
  CHECK(set.tensors().size() > second.tensors().size());
  CHECK(set.metadata().at("dtype") == "float64");
  for (const TensorInfo& info : second.tensors()) {
    CAPTURE(info.name);
    CHECK(set.values<double>(info.name) == second.values<double>(info.name));
    CHECK(std::ranges::equal(set.bytes(set.at(info.name)), second.bytes(info)));
    CHECK(set.at(info.name).shape == info.shape);
  }
  CHECK(set.at("grad.W1").shape == std::vector<std::int64_t>{2, 16, 64});
  CHECK(set.find("absent") == nullptr);
  CHECK(contains(error_message([&] { set.values<double>("absent"); }), "index.json", "'absent'"));
}

TEST_CASE("a set is found by folder and stem, by file or by index") {
  CHECK(open_set(golden / "model/llama").tensors().size() ==
        open_set(golden / "model/llama", Access::copied, "model").tensors().size());
  CHECK(open_set(golden / "model/llama/model.safetensors").find("model.norm.weight") != nullptr);
  CHECK(open_set(golden / "model/ttt_mlp_mamba").find("model.norm.weight") != nullptr);
  CHECK(open_set(golden / "model/ttt_mlp_mamba/model.safetensors.index.json").find("model.norm.weight") != nullptr);
  CHECK(contains(error_message([] { open_set(golden / "model", Access::copied, "model"); }),
                 "model.safetensors.index.json", "neither"));
  CHECK(
      contains(error_message([] { open_set(golden / "absent", Access::copied, "model"); }), "absent", "No such file"));
}

TEST_CASE("tensors of all files are found and read") {
  const TemporaryFolder folder;
  REQUIRE(refusal(folder, map_of(good)).empty());
  const SafetensorsSet set = open_set(folder.path());
  REQUIRE(set.tensors().size() == 3);
  CHECK(set.tensors()[1].name == "b");
  CHECK(set.file_of("b").path().filename() == "2.safetensors");
  CHECK(set.metadata().at("file") == "1.safetensors");
  std::vector<double> out(3);
  set.read("b", std::span(out));
  CHECK(out == std::vector<double>{1, 2, 3});
  const SafetensorsSet copy = set;
  CHECK(copy.values<float>("c") == values);
}

TEST_CASE("index and files must hold the same tensors") {
  const TemporaryFolder folder;
  CHECK(contains(refusal(folder, map_of(good + R"(,"d":"2.safetensors")")), "tensor 'd'", "2.safetensors", "no such"));
  CHECK(contains(refusal(folder, map_of(good + R"(,"aa":"2.safetensors")")), "tensor 'aa'", "no such"));
  CHECK(
      contains(refusal(folder, map_of(R"("a":"1.safetensors","b":"2.safetensors")")), "tensor 'c'", "one more in '1."));
  CHECK(
      contains(refusal(folder, map_of(R"("c":"1.safetensors","b":"2.safetensors")")), "tensor 'a'", "one more in '1."));
  CHECK(contains(refusal(folder, map_of(R"("a":"2.safetensors","b":"2.safetensors","c":"1.safetensors")")),
                 "tensor 'a'", "expected it in '2.", "found it in '1."));
  CHECK(contains(refusal(folder, map_of(good + R"(,"d":"3.safetensors")")), "3.safetensors", "No such file"));
}

TEST_CASE("a tensor in two files is refused") {
  const TemporaryFolder folder;
  REQUIRE(refusal(folder, map_of(good)).empty());
  write_file(folder / "2.safetensors", {"a", "b"});
  CHECK(contains(error_message([&] { open_set(folder.path()); }), "tensor 'a'", "one more"));
}

TEST_CASE("file names that are not plain are refused") {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder / "sub");
  write_file(folder / "sub/1.safetensors", {"a"});
  const auto name = GENERATE(as<std::string>{}, "../1.safetensors", "/etc/1.safetensors", "sub/1.safetensors", "..",
                             ".", "", "./1.safetensors", "..\\\\1.safetensors", "1.safetensors\\u0000", "1.bin",
                             ".safetensors", "C:\\\\1.safetensors");
  CAPTURE(name);
  CHECK(contains(refusal(folder, map_of("\"a\":\"" + name + "\"")), "index.json", "plain file name", "tensor 'a'"));
}

TEST_CASE("links are followed, out of the folder and inside of it; one that leads nowhere is named") {
  const TemporaryFolder outside;
  const TemporaryFolder folder;
  write_file(outside / "2.safetensors", {"b"});
  REQUIRE(refusal(folder, map_of(good)).empty());
  std::filesystem::remove(folder / "2.safetensors");
  std::filesystem::create_symlink(outside / "2.safetensors", folder / "2.safetensors");
  CHECK(open_set(folder.path()).find("b") != nullptr);
  std::filesystem::remove(folder / "2.safetensors");
  write_file(folder / "real.safetensors", {"b"});
  std::filesystem::create_symlink("real.safetensors", folder / "2.safetensors");
  CHECK(open_set(folder.path()).find("b") != nullptr);
  std::filesystem::remove(folder / "2.safetensors");
  std::filesystem::create_symlink("2.safetensors", folder / "2.safetensors");
  CHECK(contains(error_message([&] { open_set(folder.path()); }), "index.json", "'2.safetensors'", "symbolic links"));
}

TEST_CASE("a set is written in parts that are not too large, and read back as one") {
  const TemporaryFolder folder;
  const std::vector<float> many(10, 0.5f);
  const std::vector<TensorSource> tensors{
      tensor_source("d", {3}, std::span(values)), tensor_source("a \"1\"", {10}, std::span(many)),
      tensor_source("c", {3}, std::span(values)), tensor_source("b", {3}, std::span(values))};
  const Metadata metadata{{"format", "pt"}};
  write_safetensors_set(folder.path(), tensors, metadata, 24);  // the large one has a part of its own
  const SafetensorsSet set = open_set(folder.path());
  CHECK(folder.file_count() == 4);
  CHECK(set.metadata() == metadata);
  CHECK(set.tensors().size() == 4);
  for (const TensorSource& tensor : tensors) CHECK(std::ranges::equal(set.bytes(set.at(tensor.name)), tensor.bytes));
  CHECK(set.file_of("d").path().filename() == "model-00001-of-00003.safetensors");
  CHECK(set.file_of("a \"1\"").path().filename() == "model-00002-of-00003.safetensors");
  CHECK(set.file_of("b").path().filename() == "model-00003-of-00003.safetensors");
  CHECK(contains(read_bytes(folder / "model.safetensors.index.json"), "\"total_size\": 76\n"));
  CHECK(contains(error_message([&] { write_safetensors_set(folder.path(), tensors, metadata, 12); }), "index.json",
                 "no index of another set"));
  CHECK(folder.file_count() == 4);

  write_safetensors_set(folder.path(), tensors, metadata, 76, "one");
  CHECK(std::filesystem::exists(folder / "one.safetensors"));
  CHECK(folder.file_count() == 5);
  write_safetensors_set(folder.path(), tensors, metadata, 75, "one");  // takes the place of the single file
  CHECK(open_set(folder.path(), Access::copied, "one").tensors().size() == 4);
  CHECK_FALSE(std::filesystem::exists(folder / "one.safetensors"));
}

TEST_CASE("no part of a set is written when one of its tensors cannot be") {
  const TemporaryFolder folder;
  std::vector<TensorSource> tensors{tensor_source("a", {3}, std::span(values)),
                                    tensor_source("b", {4}, std::span(values))};
  CHECK(contains(error_message([&] { write_safetensors_set(folder.path(), tensors, {}, 12); }), "tensor 'b'"));
  tensors[1] = tensors[0];
  CHECK(contains(error_message([&] { write_safetensors_set(folder.path(), tensors, {}, 12); }), "'a' twice"));
  CHECK(folder.file_count() == 0);
}

TEST_CASE("a damaged index is refused") {
  const TemporaryFolder folder;
  const std::string deep(3000, '[');
  const auto index = GENERATE_COPY(as<std::string>{}, "", "{}", "[]", "{\"weight_map\":[]}",
                                   "{\"weight_map\":{\"a\":1}}", map_of(good).substr(0, 60), map_of(good) + "x",
                                   "{\"metadata\":" + deep, map_of(R"("a":"1.safetensors","a":"1.safetensors")"),
                                   "{\"other\":1,\"weight_map\":{" + good + "}}");
  CAPTURE(index);
  CHECK(contains(refusal(folder, index), "index.json", "expected", "found"));
}
