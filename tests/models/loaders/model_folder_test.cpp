// SPDX-License-Identifier: MIT
// Model folders as they should be, and those that are not.
#include <array>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "io/hostile/expected.hpp"
#include "models/loaders/tiny_model.hpp"
#include "support/catch.hpp"
#include "support/compiled_loaders.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/models/loaders/model_folder.hpp"

using namespace ttt;
using ttt::testing::error_message;
using ttt::testing::parameters_of;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;
using ttt::testing::tiny;
using ttt::testing::write_bytes;
namespace fs = std::filesystem;

namespace {

/// A tensor taken out of a file, to be changed and put back.
struct Stored {
  std::string name;
  std::vector<std::int64_t> shape;
  std::vector<float> values;
};

/// A saved tiny model that a test damages.
struct Broken {
  TemporaryFolder temporary;
  fs::path folder = temporary / "model";
  fs::path tensors = folder / "model.safetensors", config = folder / "config.json";

  explicit Broken(const ModelConfig& model = tiny()) { save_model_folder(folder, model, parameters_of(model)); }

  void edit_json(const std::function<void(nlohmann::json&)>& change) const {
    auto json = nlohmann::json::parse(read_bytes(config));
    change(json);
    write_bytes(config, json.dump());
  }
  void edit_tensors(const std::function<void(std::vector<Stored>&)>& change) const {
    std::vector<Stored> stored;
    const auto file = io::SafetensorsFile::open(tensors);
    for (const auto& info : file.tensors()) stored.push_back({info.name, info.shape, file.values<float>(info.name)});
    change(stored);
    std::vector<io::TensorSource> sources;
    for (const auto& tensor : stored)
      sources.push_back(io::tensor_source(tensor.name, tensor.shape, std::span<const float>(tensor.values)));
    io::write_safetensors(tensors, sources);
  }
  void edit_tensor(const std::string& name, const std::function<void(Stored&)>& change) const {
    edit_tensors([&](auto& all) {
      for (auto& tensor : all)
        if (tensor.name == name) change(tensor);
    });
  }

  /// The message of the Error of loading, without the folder's name in front; loading changes nothing on disk.
  template <class Scalar = float>
  std::string message() const {
    const auto before = temporary.contents();
    std::string text = error_message([&] { load_model_folder<Scalar>(folder); });
    CHECK(temporary.contents() == before);
    CHECK(text.find('\n') == std::string::npos);
    const std::string start = folder.string() + "/";
    return text.starts_with(start) ? text.substr(start.size()) : text;
  }
};

}  // namespace

TEST_CASE("Every hostile folder is refused in one line that says why, before memory is asked for") {
  const auto cases = ttt::testing::hostile_files({"folders/"});
  CHECK(cases.size() > 10);
  for (const auto& [path, words] : cases) {
    const std::string message = error_message([&] { load_model_folder<float>(path.parent_path()); });
    CAPTURE(path, message);
    CHECK(message.find(path.parent_path().filename().string()) != std::string::npos);
    CHECK(message.find('\n') == std::string::npos);
    for (const std::string& word : words) CHECK(message.find(word) != std::string::npos);
  }
}

TEST_CASE("every kind of model survives its folder bit for bit") {
  for (const auto layer : LayerKinds::names)
    for (const Backbone backbone : {Backbone::transformer, Backbone::mamba})
      for (const bool tied : {true, false}) {
        ModelConfig config = tiny(layer, backbone);
        config.tied = tied;
        CAPTURE(layer, backbone == Backbone::mamba, tied);
        const TemporaryFolder temporary;
        const auto parameters = parameters_of(config);
        save_model_folder(temporary / "a/b", config, parameters);
        const auto loaded = load_model_folder<float>(temporary / "a/b");
        CHECK(loaded.config == config);
        CHECK(loaded.parameters.arena() == parameters.arena());
      }
}

namespace {

std::vector<float> logits_of(const CausalLm<float>& model, const CausalLm<float>::Parameters& parameters) {
  const std::vector<std::int64_t> ids{1, 4, 2, 9, 3, 10, 0, 7, 5, 5, 6, 8, 2};
  std::vector<float> logits(ids.size() * 11);
  Context context;
  auto state = model.initial_state(parameters, static_cast<Index>(ids.size()));
  const Segment<State<float>> segment{static_cast<Index>(ids.size()), &state};
  model.forward(parameters, ids, {&segment, 1}, LogitRows::all, {logits.data(), 13, 11}, context);
  return logits;
}

/// Saves the model if there is such a one, and compares what it says after loading.
bool survives_if_made(const ModelConfig& config) {
  try {
    make_model<float>(config);
  } catch (const Error&) {
    return false;
  }
  const TemporaryFolder temporary;
  const auto parameters = parameters_of(config);
  save_model_folder(temporary / "model", config, parameters);
  const auto loaded = load_model_folder<float>(temporary / "model");
  CHECK(loaded.parameters.arena() == parameters.arena());
  CHECK(logits_of(loaded.model, loaded.parameters.views()) == logits_of(make_model<float>(config), parameters.views()));
  return true;
}

}  // namespace

TEST_CASE("whatever an option is, a model that can be made can be loaded") {
  int made = 0;
  for (const auto name : LayerKinds::names)
    for (const std::string& option : tiny(name).pattern.front().layer.option_names())
      for (const char* words : {"0", "1", "2", "3", "4", "5", "12", "0.25", "true", "false", "none", "interleaved",
                                "ring", "growing", "linear", "inf", "chunk-exclusive", "simplified"}) {
        ModelConfig config = tiny(name);
        LayerDescription& layer = config.pattern.front().layer;
        try {
          layer.set(option, words);
        } catch (const Error&) {
          continue;
        }
        INFO(name << ", " << option << " = " << words);
        made += survives_if_made(config);
        ModelConfig bare = config;  // some kinds of folders are of layers without an MLP, with one epsilon
        bare.pattern.front().hidden = 0;
        bare.norm_epsilon = Mamba2Config{}.norm_epsilon;
        made += survives_if_made(bare);
        if (option == "initial_rank") layer.set("initial_identity", "0.5"), made += survives_if_made(config);
        if (option == "rotary") layer.set("heads", "4"), made += survives_if_made(config);  // of odd width
      }
  CHECK(made > 200);
}

TEST_CASE("models read into bfloat16 are those rounded, and have the bits of floats of the same values") {
  for (const auto layer : LayerKinds::names)
    for (const bool tied : {true, false}) {
      ModelConfig config = tiny(layer, tied ? Backbone::transformer : Backbone::mamba);
      config.tied = tied;
      CAPTURE(layer, tied);
      const TemporaryFolder temporary;
      const auto parameters = parameters_of(config);
      save_model_folder(temporary / "exact", config, parameters);
      const auto narrow = load_model_folder<float>(temporary / "exact", WeightStorage::bfloat16);
      CHECK(narrow.parameters.arena() == to_bfloat16(parameters).arena());
      CHECK(narrow.parameters.arena().size() < parameters.arena().size());
      save_model_folder(temporary / "rounded", config, narrow.parameters);
      const auto rounded = load_model_folder<float>(temporary / "rounded");
      CHECK_FALSE(rounded.parameters.arena() == parameters.arena());
      CHECK(to_bfloat16(rounded.parameters).arena() == narrow.parameters.arena());

      // A prompt and two single tokens, so that one row and many meet both layouts.
      const std::vector<std::int64_t> ids{1, 4, 2, 9, 3, 10, 0, 7, 5, 5, 6, 8, 2};
      const auto logits = [&](const auto& loaded) {
        Buffer<float> values(static_cast<Index>(ids.size()) * 11);
        auto state = loaded.model.initial_state(loaded.parameters.views(), 13);
        Context context;
        std::size_t first = 0;
        for (const Index length : {11, 1, 1}) {
          const std::array segments{Segment<LoadedModel<float>::Model::State>{length, &state}};
          loaded.model.forward(loaded.parameters.views(),
                               std::span(ids).subspan(first, static_cast<std::size_t>(length)), segments,
                               LogitRows::all, {values.data() + static_cast<Index>(first) * 11, length, 11}, context);
          first += static_cast<std::size_t>(length);
        }
        return values;
      };
      CHECK(logits(narrow) == logits(rounded));
    }
  const TemporaryFolder temporary;
  save_model_folder(temporary / "model", tiny(), parameters_of(tiny()));
  CHECK(error_message([&] {
          load_model_folder<double>(temporary / "model", WeightStorage::bfloat16);
        }).find("bfloat16") != std::string::npos);
}

TEST_CASE("kinds of folders by layer and backbone") {
  const auto type = [](const ModelConfig& config) {
    const Broken saved(config);
    return nlohmann::json::parse(read_bytes(saved.config))["model_type"].get<std::string>();
  };
  CHECK(type(tiny("ttt-mlp", Backbone::mamba)) == "ttt");
  CHECK(type(tiny("attention")) == "llama");
  CHECK(type(tiny("sliding-window")) == "mistral");
  CHECK(type(tiny("attention", Backbone::mamba)) == "ttt-cpp");
  CHECK(type(tiny("sliding-window", Backbone::mamba)) == "ttt-cpp");
}

TEST_CASE("a tensor that is missing, too many or misshapen is named with what was expected and found") {
  const Broken folder;
  const std::string gate = "model.layers.1.mlp.gate_proj.weight";
  SECTION("missing") {
    folder.edit_tensors(
        [&](auto& all) { std::erase_if(all, [&](const auto& tensor) { return tensor.name == gate; }); });
    CHECK(folder.message() ==
          "model.safetensors, tensor '" + gate + "': expected shape [10, 12], found no such tensor");
  }
  SECTION("without the prefix, as a model without its head is saved") {
    folder.edit_tensors([](auto& all) {
      for (auto& tensor : all) tensor.name = tensor.name.substr(tensor.name.starts_with("model.") ? 6 : 0);
    });
    CHECK(folder.message() ==
          "model.safetensors, tensor 'model.embed_tokens.weight': expected shape [11, 12], found no such tensor, but "
          "'embed_tokens.weight': another prefix?");
  }
  SECTION("extra") {
    folder.edit_tensors([](auto& all) { all.push_back({"model.layers.2.norm", {2, 1}, {1, 2}}); });
    CHECK(folder.message() ==
          "model.safetensors, tensor 'model.layers.2.norm': expected only tensors that config.json implies, found one "
          "more, [2, 1]");
  }
  SECTION("misshapen") {
    folder.edit_tensor(gate, [](Stored& tensor) { tensor.shape = {12, 10}; });
    CHECK(folder.message() == "model.safetensors, tensor '" + gate + "': expected shape [10, 12], found [12, 10]");
  }
  SECTION("NaN") {
    folder.edit_tensor(gate, [](Stored& tensor) { tensor.values[27] = std::numeric_limits<float>::quiet_NaN(); });
    CHECK(folder.message() ==
          "model.safetensors, tensor '" + gate + "': expected finite numbers, found NaN or infinity at [2, 3]");
  }
  SECTION("infinity") {
    folder.edit_tensor("model.norm.weight",
                       [](Stored& tensor) { tensor.values[11] = -std::numeric_limits<float>::infinity(); });
    CHECK(folder.message<double>() ==
          "model.safetensors, tensor 'model.norm.weight': expected finite numbers, found NaN or infinity at [11]");
  }
}

TEST_CASE("files that are cut off, overlong or not there") {
  const Broken folder;
  const std::string tensors = read_bytes(folder.tensors);
  SECTION("truncated tensors") {
    write_bytes(folder.tensors, tensors.substr(0, tensors.size() - 4));
    const std::string message = folder.message();
    CHECK(message.starts_with("model.safetensors: expected " + std::to_string(tensors.size()) + " bytes"));
    CHECK(message.ends_with("found " + std::to_string(tensors.size() - 4) + ": the file is truncated"));
  }
  SECTION("overlong tensors") {
    write_bytes(folder.tensors, tensors + "....");
    const std::string message = folder.message();
    CHECK(message.starts_with("model.safetensors: expected " + std::to_string(tensors.size()) + " bytes"));
    CHECK(message.ends_with(": there is more behind its end"));
  }
  SECTION("no tensors") {
    fs::remove(folder.tensors);
    CHECK(folder.message() ==
          folder.folder.string() + ": expected 'model.safetensors' or 'model.safetensors.index.json', found neither");
  }
  SECTION("no config.json, in a folder of someone else") {
    folder.edit_tensors([](auto&) {});
    fs::remove(folder.config);
    CHECK(folder.message() == "config.json: expected a file, found none");
  }
  SECTION("truncated config.json") {
    write_bytes(folder.config, read_bytes(folder.config).substr(0, 30));
    CHECK(folder.message() == "config.json: expected JSON, found a syntax error at byte 31");
  }
  SECTION("overlong config.json") {
    write_bytes(folder.config, read_bytes(folder.config) + std::string(1'000'000, ' '));
    CHECK(folder.message().starts_with("config.json: expected at most 1000000 bytes, found 1000"));
  }
  SECTION("no folder") {
    fs::remove_all(folder.folder);
    CHECK(folder.message() == folder.folder.string() + ": expected a model folder, found no folder");
  }
}

TEST_CASE("a config.json that makes no model") {
  const auto message = [](const char* key, const nlohmann::json& value) {
    const Broken folder(tiny());
    folder.edit_json([&](nlohmann::json& json) { json[key] = value; });
    return folder.message();
  };
  const std::string types = "one of " + loaders::known_families();
  CHECK(message("model_type", "lama") == "config.json, key 'model_type': expected " + types + ", found \"lama\"");
  CHECK(message("model_type", nullptr) == "config.json, key 'model_type': expected a string, found null");
  CHECK(message("model_type", "jamba") ==
        "config.json, key 'model_type': expected " + types + ", found \"jamba\", whose layers are not supported yet");
  CHECK(message("ttt_layer_type", "conv") ==
        "config.json, key 'ttt_layer_type': expected one of linear, mlp, found \"conv\"");
  CHECK(message("num_attention_heads", 5) ==
        "config.json, key 'hidden_size': expected a multiple of num_attention_heads = 5, found 12");
  CHECK(message("num_attention_heads", 4) ==
        "config.json, key 'hidden_size': expected an even head width hidden_size / num_attention_heads for the rotary "
        "embedding, found 3");
  CHECK(message("hidden_size", 24) ==
        "model.safetensors, tensor 'model.embed_tokens.weight': expected shape [11, 24], found [11, 12]");
  CHECK(message("vocab_size", 12) ==
        "model.safetensors, tensor 'model.embed_tokens.weight': expected shape [12, 12], found [11, 12]");
  CHECK(message("num_hidden_layers", 2'000'000'000) ==
        "model.safetensors: expected tensors of 2000000000 layers, found 38 tensors");
  CHECK(message("num_hidden_layers", 3) ==
        "model.safetensors, tensor 'model.layers.2.seq_norm.weight': expected shape "
        "[12], found no such tensor");
  CHECK(message("mini_batch_size", 2'000'000'000) ==
        "model.safetensors, tensor 'model.layers.0.seq_modeling_block.learnable_token_idx': expected shape "
        "[2000000000], found [5]");
}

TEST_CASE("the head of a tied model may be stored too if it says the same") {
  const Broken folder;
  const auto store_head = [&](float change) {
    folder.edit_tensors([&](auto& all) {
      for (auto tensor : std::vector<Stored>(all))
        if (tensor.name == "model.embed_tokens.weight") {
          tensor.name = "lm_head.weight";
          tensor.values[3] += change;
          all.push_back(tensor);
        }
    });
  };
  SECTION("the same") {
    store_head(0);
    CHECK(load_model_folder<float>(folder.folder).parameters.arena() == parameters_of(tiny()).arena());
  }
  SECTION("another") {
    store_head(1);
    CHECK(folder.message() ==
          "model.safetensors, tensor 'lm_head.weight': expected the bits of 'model.embed_tokens.weight', as "
          "tie_word_embeddings is true, found others");
  }
  SECTION("untied, without one") {
    folder.edit_json([](nlohmann::json& json) { json["tie_word_embeddings"] = false; });
    CHECK(folder.message() ==
          "model.safetensors, tensor 'lm_head.weight': expected shape [11, 12], found no such tensor");
  }
}

TEST_CASE("tensors of every floating type are read, in float and in double") {
  const Broken folder;
  std::vector<std::uint16_t> half(12, 0x3E00), brain(12, 0x3FC0);  // 1.5
  std::vector<double> wide(12, 1.5);
  const std::vector<std::pair<io::DType, std::span<const std::byte>>> forms{
      {io::DType::F16, std::as_bytes(std::span(half))},
      {io::DType::BF16, std::as_bytes(std::span(brain))},
      {io::DType::F64, std::as_bytes(std::span(wide))}};
  for (const auto& [dtype, bytes] : forms) {
    const auto file = io::SafetensorsFile::open(folder.tensors);
    std::vector<io::TensorSource> sources;
    for (const auto& info : file.tensors())
      if (info.name == "model.norm.weight")
        sources.push_back({info.name, dtype, info.shape, bytes});
      else
        sources.push_back({info.name, info.dtype, info.shape, file.bytes(info)});
    io::write_safetensors(folder.tensors, sources);
    CHECK(load_model_folder<float>(folder.folder).parameters.views().norm[7] == 1.5F);
    CHECK(load_model_folder<double>(folder.folder).parameters.views().norm[7] == 1.5);
  }
  std::vector<std::int64_t> whole(12, 1);
  const auto file = io::SafetensorsFile::open(folder.tensors);
  std::vector<io::TensorSource> sources;
  for (const auto& info : file.tensors())
    if (info.name == "model.norm.weight")
      sources.push_back(io::tensor_source(info.name, info.shape, std::span<const std::int64_t>(whole)));
    else
      sources.push_back({info.name, info.dtype, info.shape, file.bytes(info)});
  io::write_safetensors(folder.tensors, sources);
  CHECK(folder.message() ==
        "model.safetensors, tensor 'model.norm.weight': expected F32, F16, BF16, or F64 with "
        "rounding allowed, found I64");
}
