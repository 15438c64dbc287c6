// SPDX-License-Identifier: MIT
#include "ttt/models/loaders/folder_tools.hpp"

#include <cmath>
#include <filesystem>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "models/loaders/tiny_model.hpp"
#include "support/catch.hpp"
#include "support/compiled_loaders.hpp"
#include "support/error_message.hpp"
#include "support/stored_tensors.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt;
using ttt::testing::error_message;
using ttt::testing::parameters_of;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;
using ttt::testing::Tensors;
using ttt::testing::tiny;
using ttt::testing::write_bytes;
namespace fs = std::filesystem;
using Status = TensorInspection::Status;

namespace {

nlohmann::json config_of(const fs::path& folder) { return nlohmann::json::parse(read_bytes(folder / "config.json")); }

/// A saved tiny model.
struct Saved {
  TemporaryFolder temporary;
  fs::path folder = temporary / "model", out = temporary / "out";

  explicit Saved(const ModelConfig& config) { save_model_folder(folder, config, parameters_of(config)); }

  void edit(const std::function<void(std::map<std::string, Tensors::Stored>&)>& change) const {
    Tensors tensors(folder);
    change(tensors.all);
    tensors.write(folder);
  }
  void edit_config(const std::function<void(nlohmann::json&)>& change) const {
    auto json = config_of(folder);
    change(json);
    write_bytes(folder / "config.json", json.dump());
  }
  std::string refused(const FolderConversion& conversion) const {
    const std::string text = error_message([&] { convert_model_folder<float>(folder, out, conversion); });
    CHECK_FALSE(fs::exists(out));
    const std::string start = folder.string();
    return text.starts_with(start) ? text.substr(start.size()) : text;
  }
};

const std::string gate = "model.layers.1.mlp.gate_proj.weight", norm = "model.norm.weight";

}  // namespace

TEST_CASE("a whole folder has no problem, and every tensor is listed once") {
  for (const auto layer : LayerKinds::names) {
    const Saved saved(tiny(layer));
    const auto found = inspect_model_folder<float>(saved.folder);
    CHECK(found.problem_count() == 0);
    CHECK(found.config == tiny(layer));
    CHECK(config_of(saved.folder)["model_type"] == found.model_type);
    const Tensors stored(saved.folder);
    CHECK(found.tensors.size() == stored.all.size());
    for (const auto& tensor : found.tensors) {
      CAPTURE(tensor.name);
      CHECK(tensor.status == Status::good);
      REQUIRE(stored.all.contains(tensor.name));
      CHECK(tensor.shape == stored.all.at(tensor.name).shape);
      CHECK(tensor.type == "F32");
    }
  }
}

TEST_CASE("every problem of a folder is listed, in the words in which loading would name it") {
  const Saved saved(tiny("ttt-linear"));
  const std::string q = "model.layers.0.seq_modeling_block.q_proj.weight",
                    v = "model.layers.1.seq_modeling_block.v_proj.weight";
  saved.edit([&](auto& all) {
    all.erase(gate);
    all.erase("model.embed_tokens.weight");
    all[norm].shape = {3, 4};
    all[q].set(27, std::numeric_limits<float>::quiet_NaN());
    all[v].set(0, -std::numeric_limits<float>::infinity());
    all[v].set(1, std::numeric_limits<float>::quiet_NaN());
    all["surplus"] = all[norm];
    all["lm_head.weight"] = all[norm];
    all["model.layers.0.mlp.up_proj.weight"].dtype = io::DType::I32;
  });
  const auto found = inspect_model_folder<float>(saved.folder);
  std::map<std::string, std::string> problems;
  for (const auto& tensor : found.tensors)
    if (!tensor.problem.empty()) problems[tensor.name] = std::string(status_text(tensor.status)) + tensor.problem;
  const std::string file = (saved.folder / "model.safetensors").string() + ", tensor '";
  CHECK(found.problem_count() == 8);
  CHECK(problems[gate] == "missing" + file + gate + "': expected shape [10, 12], found no such tensor");
  CHECK(problems["model.embed_tokens.weight"] ==
        "missing" + file + "model.embed_tokens.weight': expected shape [11, 12], found no such tensor");
  CHECK(problems[norm] == "shape" + file + norm + "': expected shape [12], found [3, 4]");
  CHECK(problems[q] == "values" + file + q + "': expected finite numbers, found NaN or infinity at [2, 3]");
  CHECK(problems[v] == "values" + file + v + "': expected finite numbers, found NaN or infinity at [0, 0]");
  CHECK(problems["surplus"] ==
        "extra" + file + "surplus': expected only tensors that config.json implies, found one more, [3, 4]");
  CHECK(problems["lm_head.weight"].starts_with("tied" + file));
  CHECK(problems["model.layers.0.mlp.up_proj.weight"] ==
        "values" + file +
            "model.layers.0.mlp.up_proj.weight': expected F32, F16, BF16, or F64 with rounding allowed, found I32");
  // The others are as they should be.
  CHECK(found.tensors.size() == Tensors(saved.folder).all.size() + 2);
}

TEST_CASE("tensors that say nothing new are no problem") {
  const Saved tied(tiny("attention"));
  tied.edit([](auto& all) {
    all["lm_head.weight"] = all["model.embed_tokens.weight"];
    all["model.layers.0.self_attn.rotary_emb.inv_freq"] = {io::DType::F32, {2}, std::vector<std::byte>(8)};
  });
  const auto found = inspect_model_folder<float>(tied.folder);
  CHECK(found.problem_count() == 0);
  const auto status = [&](const std::string& name) {
    for (const auto& tensor : found.tensors)
      if (tensor.name == name) return std::string(status_text(tensor.status));
    return std::string("not listed");
  };
  CHECK(status("lm_head.weight") == "tied");
  CHECK(status("model.layers.0.self_attn.rotary_emb.inv_freq") == "derived");
  tied.edit([](auto& all) { all["lm_head.weight"].set(3, 7); });
  CHECK(inspect_model_folder<float>(tied.folder).problem_count() == 1);
}

TEST_CASE("numbers of a config.json alone cannot ask an inspection for memory") {
  const Saved saved(tiny("ttt-linear"));
  for (const char* key : {"num_hidden_layers", "mini_batch_size", "hidden_size", "vocab_size"}) {
    CAPTURE(key);
    const auto good = config_of(saved.folder);
    saved.edit_config([&](auto& json) { json[key] = 1'999'999'998; });
    const std::string message = error_message([&] {
      const auto found = inspect_model_folder<float>(saved.folder);
      if (found.problem_count() > 0) throw Error("listed");
    });
    CHECK(message != "");
    write_bytes(saved.folder / "config.json", good.dump());
  }
}

TEST_CASE("a folder is written as every kind that can hold its model, and back, without a change") {
  const auto check = [](const ModelConfig& config, const std::string& other) {
    CAPTURE(config.layers(), other);
    const Saved saved(config);
    saved.edit_config([](auto& json) { json["someones"] = "own"; });
    const std::string own = config_of(saved.folder)["model_type"];
    convert_model_folder<float>(saved.folder, saved.out, {other, {}});
    CHECK(config_of(saved.out)["model_type"] == other);
    CHECK(config_of(saved.out)["someones"] == "own");
    const auto loaded = load_model_folder<float>(saved.out);
    CHECK(loaded.config == config);
    CHECK(loaded.parameters.arena() == parameters_of(config).arena());
    convert_model_folder<float>(saved.out, saved.temporary / "back", {own, {}});
    CHECK(Tensors(saved.temporary / "back").all == Tensors(saved.folder).all);
  };
  check(tiny("ttt-linear"), "ttt-cpp");
  check(tiny("ttt-mlp", Backbone::mamba), "ttt-cpp");
  check(tiny("attention"), "mistral");
  check(tiny("attention"), "ttt-cpp");
  for (const auto layer : LayerKinds::names) check(tiny(layer, Backbone::mamba), "ttt-cpp");

  ModelConfig beside = tiny("attention");
  beside.pattern.front().beside = {testing::tiny_layer("ttt-mlp"), testing::tiny_layer("mamba")};
  check(beside, "ttt-cpp");

  const std::string hold = ": expected a model that a folder of kind ";
  CHECK(Saved(tiny("attention")).refused({"ttt", {}}) ==
        hold + "ttt can hold, found attention:heads=3 with the transformer backbone");
  CHECK(Saved(tiny("ttt-linear")).refused({"llama", {}}) ==
        hold + "llama can hold, found ttt-linear:heads=3:mini_batch=5 with the transformer backbone");
  CHECK(Saved(tiny("sliding-window")).refused({"llama", {}}) ==
        hold + "llama can hold, found sliding-window:heads=3:window=7 with the transformer backbone");
  CHECK(Saved(tiny("attention", Backbone::mamba)).refused({"mistral", {}}) ==
        hold + "mistral can hold, found attention:heads=3 with the mamba backbone");
  CHECK(Saved(tiny("attention")).refused({"jamba", {}}) ==
        "kind of model folder: expected one of " + loaders::known_families() + ", found 'jamba'");
  ModelConfig biased = tiny("attention");
  testing::options_of<AttentionConfig>(biased).bias = true;
  CHECK(Saved(biased).refused({"llama", {}}) ==
        hold + "llama can hold, found attention:heads=3:bias=true with the transformer backbone");
}

TEST_CASE("numbers are rounded to nearest, ties to even, once; what a type holds keeps its bits") {
  const Saved saved(tiny("ttt-linear"));
  const auto bits = [&](const fs::path& folder, io::DType dtype, double value) {
    saved.edit([&](auto& all) {
      auto& tensor = all[norm];
      tensor.dtype = io::DType::F64;
      tensor.bytes.resize(96);
      std::memcpy(tensor.bytes.data() + 8 * 5, &value, sizeof value);
    });
    convert_model_folder<float>(saved.folder, folder, {"", dtype});
    const auto stored = Tensors(folder).all.at(norm);
    CHECK(stored.dtype == dtype);
    std::uint16_t result;
    std::memcpy(&result, stored.bytes.data() + 2 * 5, sizeof result);
    return result;
  };
  using io::DType;
  CHECK(bits(saved.out, DType::BF16, 1 + 0x1p-8) == 0x3F80);
  CHECK(bits(saved.out, DType::BF16, 1 + 3 * 0x1p-8) == 0x3F82);
  // Rounded to float first this would be a tie.
  CHECK(bits(saved.out, DType::BF16, 1 + 0x1p-8 + 0x1p-40) == 0x3F81);
  CHECK(bits(saved.out, DType::BF16, -1 - 3 * 0x1p-8 + 0x1p-40) == 0xBF81);
  CHECK(bits(saved.out, DType::F16, 1 + 0x1p-11) == 0x3C00);
  CHECK(bits(saved.out, DType::F16, 1 + 0x1p-11 + 0x1p-40) == 0x3C01);
  CHECK(bits(saved.out, DType::F16, 65504 + 15.9) == 0x7BFF);
  CHECK(bits(saved.out, DType::F16, 0x1p-25 + 0x1p-60) == 0x0001);
  CHECK(config_of(saved.out)["torch_dtype"] == "float16");

  const auto there = saved.temporary / "there", and_back = saved.temporary / "back";
  for (const auto& [narrow, wide] :
       {std::pair{DType::BF16, DType::F32}, std::pair{DType::F16, DType::F32}, std::pair{DType::F32, DType::F64}}) {
    convert_model_folder<float>(saved.folder, saved.out, {"", narrow});
    convert_model_folder<float>(saved.out, there, {"", wide});
    convert_model_folder<float>(there, and_back, {"", narrow});
    CHECK(Tensors(saved.out).all != Tensors(there).all);
    CHECK(Tensors(saved.out).all == Tensors(and_back).all);
  }
  const Saved other(tiny("attention"));
  other.edit([](auto& all) { all[norm].set(3, 65520); });
  CHECK(other.refused({"", DType::F16}) ==
        "/model.safetensors, tensor 'model.norm.weight': expected numbers in the range of F16, found 65520.000000 at "
        "[3]");
  other.edit([](auto& all) { all[norm].set(3, std::numeric_limits<float>::max()); });
  CHECK(other.refused({"", DType::BF16}).find("in the range of BF16") != std::string::npos);
  other.edit([](auto& all) { all[norm].set(3, std::numeric_limits<float>::quiet_NaN()); });
  CHECK(other.refused({}) ==
        "/model.safetensors, tensor 'model.norm.weight': expected finite numbers, found NaN or infinity at [3]");
  CHECK(other.refused({"", DType::U8}) == "type of converted tensors: expected F64, F32, BF16 or F16, found U8");
}

TEST_CASE("what lies beside a model is carried over, weights in other forms are not") {
  const Saved saved(tiny("attention"));
  for (const char* name : {"tokenizer.json", "generation_config.json", "LICENSE", "notes.txt", "pytorch_model.bin",
                           "model-00001-of-00002.safetensors", "model.safetensors.index.json", "train.checkpoint"})
    saved.temporary.write(std::string("model/") + name, name);
  fs::create_directory(saved.folder / "folder");
  saved.edit([](auto&) {});
  Tensors tensors(saved.folder);
  tensors.metadata["someones"] = "own";
  tensors.write(saved.folder);
  convert_model_folder<float>(saved.folder, saved.out, {});
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(saved.out)) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  CHECK(names == std::vector<std::string>{"LICENSE", "config.json", "generation_config.json", "model.safetensors",
                                          "notes.txt", "tokenizer.json"});
  CHECK(read_bytes(saved.out / "tokenizer.json") == "tokenizer.json");
  CHECK(Tensors(saved.out).metadata["someones"] == "own");
  CHECK(Tensors(saved.out).all == Tensors(saved.folder).all);
  CHECK(error_message([&] {
          convert_model_folder<float>(saved.folder, saved.folder / ".", {});
        }).ends_with("expected another folder than the one that is converted, found the same"));
}

TEST_CASE("a model that is loaded and saved again keeps what its folder said besides") {
  const Saved saved(tiny("attention"));
  saved.edit_config([](auto& json) {
    json["model_type"] = "mistral";
    json["sliding_window"] = nullptr;
    json["someones"] = {1, 2};
  });
  Tensors tensors(saved.folder);
  tensors.metadata = {{"someones", "own"}, {"format", "other"}};
  tensors.write(saved.folder);
  const auto loaded = load_model_folder<float>(saved.folder);
  save_model_folder(saved.out, loaded.config, loaded.parameters, loaded.notes);
  CHECK(Tensors(saved.out).all == Tensors(saved.folder).all);
  CHECK(Tensors(saved.out).metadata["someones"] == "own");
  CHECK(Tensors(saved.out).metadata["format"] == "other");
  CHECK(config_of(saved.out)["someones"] == config_of(saved.folder)["someones"]);
  CHECK(config_of(saved.out)["model_type"] == "mistral");
  // Another model is not what the notes were about.
  save_model_folder(saved.out, tiny("ttt-linear"), parameters_of(tiny("ttt-linear")), loaded.notes);
  CHECK(config_of(saved.out)["model_type"] == "ttt");
}

TEST_CASE("tensors of many pages are read in pieces, wherever in the file they lie") {
  ModelConfig config = tiny("attention");
  config.vocabulary = 30'011;  // 11 MB, and a last panel that is not full
  config.width = 96;
  const Saved saved(config);
  const auto parameters = parameters_of(config);
  const auto narrow = to_bfloat16(parameters);
  for (const std::size_t shift : {0u, 1u, 2u}) {
    CAPTURE(shift);
    // Other programs do not pad their headers: here the data begins at any byte.
    std::string bytes = read_bytes(saved.folder / "model.safetensors");
    std::uint64_t size;
    std::memcpy(&size, bytes.data(), sizeof size);
    bytes.insert(8 + size, shift, ' ');
    size += shift;
    std::memcpy(bytes.data(), &size, sizeof size);
    saved.temporary.write("shifted/model.safetensors", bytes);
    saved.temporary.write("shifted/config.json", read_bytes(saved.folder / "config.json"));
    CHECK(load_model_folder<float>(saved.temporary / "shifted").parameters.arena() == parameters.arena());
    CHECK(load_model_folder<float>(saved.temporary / "shifted", WeightStorage::bfloat16).parameters.arena() ==
          narrow.arena());
    CHECK(inspect_model_folder<float>(saved.temporary / "shifted").problem_count() == 0);
  }
}
