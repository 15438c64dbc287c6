// SPDX-License-Identifier: MIT
// Models from elsewhere, through the program: info, verify and convert, and the scripts beside it.
#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace {

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;
namespace io = ttt::io;

Outcome run_script(const std::string& name, const Arguments& arguments) {
  const std::string script = std::string(TTT_SOURCE_DIR) + "/examples/python/" + name;
  return Program("", TTT_PYTHON, Arguments{"-B", script} + arguments).wait();
}

std::ptrdiff_t lines(const std::string& text) { return std::count(text.begin(), text.end(), '\n'); }

std::string golden_model(const std::string& name) { return std::string(TTT_GOLDEN_DIR) + "/model/" + name; }
std::string golden_logits(const std::string& name) { return golden_model(name) + "/golden.safetensors"; }

/// What a golden file holds, to be changed and written elsewhere.
struct Golden {
  std::vector<std::int64_t> ids_shape, logits_shape;
  std::vector<std::int64_t> ids;
  std::vector<float> logits, loss;

  explicit Golden(const std::string& path) {
    const auto file = io::SafetensorsFile::open(path);
    ids_shape = file.at("input_ids").shape, logits_shape = file.at("logits").shape;
    ids = file.values<std::int64_t>("input_ids");
    logits = file.values<float>("logits"), loss = file.values<float>("loss");
  }
  void write(const std::string& path) const {
    io::write_safetensors(
        path,
        std::array{io::tensor_source("input_ids", ids_shape, std::span<const std::int64_t>(ids)),
                   io::tensor_source("logits", logits_shape, std::span<const float>(logits)),
                   io::tensor_source("loss", {static_cast<std::int64_t>(loss.size())}, std::span<const float>(loss))});
  }
};

}  // namespace

TEST_CASE("verify finds the golden models whole and their logits as they should be") {
  for (const std::string name : {"ttt_linear_transformer", "ttt_linear_mamba", "ttt_mlp_transformer", "ttt_mlp_mamba",
                                 "llama", "mistral", "mamba", "mamba2"})
    for (const Arguments& pieces : {Arguments{}, Arguments{"--pieces", "7,1,1,16"}}) {
      CAPTURE(name, pieces);
      const Outcome outcome = run(Arguments{"verify", golden_model(name), golden_logits(name), "--json"} + pieces);
      REQUIRE(outcome.exit_code == 0);
      const json result = json::parse(outcome.output);
      CHECK(result["problems"] == 0);
      CHECK(result["tensors"].size() == Tensors(golden_model(name)).all.size());
      CHECK(result["logits"]["good"] == true);
      CHECK(result["logits"]["relative_to_largest_logit"].get<double>() <= 2e-5);
      CHECK(result["logits"]["largest_difference"].get<double>() > 0);
      CHECK(result["logits"]["loss_found"].get<double>() ==
            Approx(result["logits"]["loss_expected"].get<double>()).margin(1e-5));
    }
  const Outcome outcome = run({"verify", golden_model("llama"), golden_logits("llama")});
  CHECK(contains(outcome.output, "llama folder, attention, transformer: 20 tensors, 0 with a problem\n"));
  CHECK(contains(outcome.output, "within the tolerance of 2e-05"));
  CHECK(lines(outcome.output) == 4);
}

TEST_CASE("verify says where a logit differs, and by how much") {
  const TemporaryFolder folder;
  const std::string model = golden_model("mistral"), path = folder / "golden.safetensors";
  Golden golden(golden_logits("mistral"));
  const auto place = static_cast<std::size_t>((1 * golden.logits_shape[1] + 9) * 96 + 37);
  golden.logits[place] += 1;
  golden.write(path);
  const Outcome outcome = run({"verify", model, path, "--json"});
  CHECK(outcome.exit_code == 1);
  const json logits = json::parse(outcome.output)["logits"];
  CHECK(logits["good"] == false);
  CHECK(logits["row"] == 1);
  CHECK(logits["position"] == 9);
  CHECK(logits["id"] == 37);
  CHECK(logits["largest_difference"].get<double>() == Approx(1).epsilon(1e-4));
  CHECK(logits["expected"].get<float>() == golden.logits[place]);
  float largest = 0;
  for (const float value : golden.logits) largest = std::max(largest, std::abs(value));
  CHECK(logits["relative_to_largest_logit"].get<double>() == Approx(1 / largest).epsilon(1e-4));
  const Outcome text = run({"verify", model, path});
  CHECK(text.exit_code == 1);
  CHECK(contains(text.output, "in row 1 at position 9, id 37: expected "));
  CHECK(contains(text.output, "NOT within the tolerance"));
  CHECK(run({"verify", model, path, "--tolerance", "0.9"}).exit_code == 0);

  golden = Golden(golden_logits("mistral"));
  golden.loss[0] += 0.01F;
  golden.write(path);
  CHECK(run({"verify", model, path}).exit_code == 1);

  const auto refused = [&](const Arguments& parts) {
    check_refused(folder, {"verify", model, path}, 1, parts,
                  "mistral folder, sliding-window, transformer: 20 tensors, 0 with a problem\n");
  };
  golden.loss.push_back(1);
  golden.write(path);
  refused({"golden.safetensors", "'loss'", "one number", "[2]"});
  golden = Golden(golden_logits("mistral"));
  golden.logits[5] = std::numeric_limits<float>::quiet_NaN();
  golden.write(path);
  refused({"golden.safetensors", "'logits'", "finite"});
  golden = Golden(golden_logits("mistral"));
  golden.logits_shape = {golden.logits_shape[1], golden.logits_shape[0], 96};
  golden.write(path);
  refused({"'logits'", "[2, 40, 96]", "[40, 2, 96]"});
  golden = Golden(golden_logits("mistral"));
  golden.ids[3] = 96;
  golden.write(path);
  refused({"'input_ids', row 0, token 3", "95", "96"});
}

TEST_CASE("verify lists every problem, and compares no logits of a model that is not whole") {
  const TemporaryFolder folder;
  const std::string model = folder / "model";
  REQUIRE(run({"convert", golden_model("ttt_mlp_mamba"), "--out", model, "--quiet"}).exit_code == 0);
  Tensors tensors(model);
  const std::size_t count = tensors.all.size();
  tensors.all.erase("model.norm.weight");
  tensors.all["surplus\n"] = tensors.all["model.embed_tokens.weight"];
  auto& bytes = tensors.all["model.layers.1.seq_modeling_block.W1"].bytes;
  std::fill_n(bytes.end() - 4, 4, std::byte{0xFF});
  tensors.write(model);
  const Outcome outcome = run({"verify", model, golden_logits("ttt_mlp_mamba")});
  CHECK(outcome.exit_code == 1);
  CHECK(contains(outcome.output, "missing  " + model + "/model.safetensors, tensor 'model.norm.weight'"));
  CHECK(contains(outcome.output, "extra  " + model + "/model.safetensors, tensor 'surplus\\x0a'"));
  CHECK(contains(outcome.output, "values  " + model +
                                     "/model.safetensors, tensor 'model.layers.1.seq_modeling_block.W1': "
                                     "expected finite numbers, found NaN or infinity at [1, 15, 63]"));
  CHECK(contains(outcome.output, ", 3 with a problem\n"));
  CHECK(lines(outcome.output) == 4);
  CHECK(lines(run({"verify", model, "--all"}).output) == 4 + static_cast<std::ptrdiff_t>(count) + 1);
  const json result = json::parse(run({"verify", model, golden_logits("ttt_mlp_mamba"), "--json"}).output);
  CHECK(result["problems"] == 3);
  CHECK(result["tensors"].size() == count + 1);
  CHECK_FALSE(result.contains("logits"));
  folder.write("model/config.json", R"({"model_type": "jamba"})");
  check_refused(folder, {"verify", model}, 1, {model, "config.json", "model_type", "\"jamba\""});
}

TEST_CASE("every command opens the families people have, and what convert writes of them") {
  const TemporaryFolder folder;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(TTT_GOLDEN_DIR) + "/families/model")) {
    const std::string model = entry.path().string(), golden = model + "/golden.safetensors";
    const std::string name = entry.path().filename().string(), general = folder / name, back = general + "-back";
    CAPTURE(name);
    const bool has_delta_net = name.starts_with("qwen3_5") || name.starts_with("qwen3_next");
    const Arguments verified{golden, "--tolerance", has_delta_net ? "1e-4" : "1e-5"};
    CHECK(run(Arguments{"verify", model} + verified).exit_code == 0);
    CHECK(run(Arguments{"verify", model} + verified + Arguments{"--pieces", "7,1"}).exit_code == 0);
    REQUIRE(run({"convert", model, "--to", "ttt-cpp", "--out", general}).exit_code == 0);
    CHECK(run(Arguments{"verify", general} + verified).exit_code == 0);
    REQUIRE(run({"convert", model, "--dtype", "f64", "--out", back}).exit_code == 0);
    CHECK(run(Arguments{"verify", back} + verified).exit_code == 0);
    const std::string family = json::parse(run({"info", model, "--context", "40", "--json"}).output)["family"];
    CHECK(contains(read_bytes(model + "/config.json"), "\"model_type\": \"" + family + "\""));
  }
}

TEST_CASE("convert writes other numbers and other kinds of folders") {
  const TemporaryFolder folder;
  const std::string source = golden_model("llama");
  const auto convert = [&](const std::string& from, const std::string& to, const Arguments& options) {
    return run(Arguments{"convert", from, "--out", folder / to} + options);
  };
  REQUIRE(convert(source, "narrow", {"--dtype", "bf16"}).exit_code == 0);
  folder.write("narrow/tokenizer.json", "{}");
  REQUIRE(convert(folder / "narrow", "wide", {"--dtype", "f32", "--json"}).exit_code == 0);
  REQUIRE(convert(folder / "wide", "again", {"--dtype", "bf16"}).exit_code == 0);
  CHECK(Tensors(folder / "narrow").all == Tensors(folder / "again").all);
  CHECK(read_bytes(folder / "again/tokenizer.json") == "{}");
  CHECK(Tensors(folder / "narrow").all.at("model.norm.weight").dtype == io::DType::BF16);
  CHECK(json::parse(read_bytes(folder / "again/config.json"))["transformers_version"] == "4.44.2");
  CHECK(run({"verify", folder / "narrow", golden_logits("llama")}).exit_code == 1);
  CHECK(run({"verify", folder / "narrow", golden_logits("llama"), "--tolerance", "0.05"}).exit_code == 0);

  REQUIRE(convert(source, "general", {"--to", "ttt-cpp"}).exit_code == 0);
  CHECK(run({"verify", folder / "general", golden_logits("llama")}).exit_code == 0);
  REQUIRE(convert(folder / "general", "llama", {"--to", "llama"}).exit_code == 0);
  CHECK(Tensors(folder / "llama").all == Tensors(source).all);

  REQUIRE(convert(source, "parts", {"--shard-size", "10kB"}).exit_code == 0);
  CHECK(std::filesystem::exists(folder / "parts/model.safetensors.index.json"));
  CHECK_FALSE(std::filesystem::exists(folder / "parts/model.safetensors"));
  CHECK(run({"verify", folder / "parts", golden_logits("llama")}).exit_code == 0);
  CHECK(Tensors(folder / "parts").all == Tensors(source).all);
  check_refused(folder, {"convert", source, "--out", folder / "parts", "--shard-size", "20kB", "--force"}, 1,
                {"index.json", "no index of another set"});
  check_refused(folder, {"convert", source, "--out", folder / "other", "--shard-size", "0"}, 2, {"--shard-size"});
  check_refused(folder, {"convert", source, "--out", folder / "other", "--shard-size", "many"}, 2, {"--shard-size"});

  check_refused(folder, {"convert", source, "--to", "ttt", "--out", folder / "other"}, 1,
                {source, "kind ttt", "attention:heads=2 with the transformer backbone"});
  check_refused(folder, {"convert", source, "--out", folder / "llama"}, 1, {folder / "llama", "--force"});
  check_refused(folder, {"convert", folder / "wide", "--out", folder / "wide", "--force"}, 1, {"the same"});
  check_refused(folder, {"convert", source, "--to", "gguf", "--out", folder / "other"}, 2,
                {"--to", "'gguf'", "ttt-cpp"});
  // It is read, and has the numbers of another kind.
  check_refused(folder, {"convert", source, "--to", "phi3", "--out", folder / "other"}, 2, {"--to", "'phi3'"});
  check_refused(folder, {"convert", source, "--dtype", "int8", "--out", folder / "other"}, 2,
                {"--dtype", "'int8'", "bf16"});
  check_refused(folder, {"convert", source}, 2, {"--out"});
  CHECK(convert(source, "llama", {"--dtype", "f16", "--force"}).exit_code == 0);
  CHECK(Tensors(folder / "llama").all.at("model.norm.weight").dtype == io::DType::F16);
}

TEST_CASE("generate and evaluate give the same with every kind of folder that holds a model") {
  const TemporaryFolder folder;
  std::string text;
  for (unsigned i = 0; text.size() < 3000; ++i) text += "line " + std::to_string(i * i % 97) + " of the text\n";
  const std::string data = folder.write("text.txt", text);
  for (const Arguments& layer :
       {Arguments{"ttt-mlp"}, Arguments{"attention"}, Arguments{"sliding-window", "--window", "5"}}) {
    const std::string model = folder / layer.front(), other = model + "-cpp";
    CAPTURE(layer);
    REQUIRE(run(Arguments{"train", "--data",    data,    "--width", "16",       "--depth", "1", "--heads",
                          "2",     "--context", "24",    "--batch", "2",        "--steps", "2", "--eval-windows",
                          "1",     "--quiet",   "--out", model,     "--untied", "--layer"} +
                layer)
                .exit_code == 0);
    REQUIRE(run({"convert", model, "--to", "ttt-cpp", "--out", other}).exit_code == 0);
    CHECK(json::parse(read_bytes(model + "/config.json"))["model_type"] != "ttt-cpp");
    CHECK_FALSE(fs::exists(other + "/train.checkpoint"));
    const auto evaluated = [&](const std::string& which) {
      const Outcome outcome = run({"evaluate", "--model", which, "--data", data, "--context", "24", "--json"});
      CAPTURE(outcome.errors);
      REQUIRE(outcome.exit_code == 0);
      return json::parse(outcome.output)["loss_by_position"];
    };
    CHECK(evaluated(model) == evaluated(other));
    const auto generated = [&](const std::string& which) {
      const Outcome outcome = run({"generate", which, "--prompt", "line ", "--tokens", "9", "--quiet"});
      CHECK(outcome.exit_code == 0);
      return outcome.output;
    };
    CHECK(generated(model).size() == 14);
    CHECK(generated(model) == generated(other));
  }
}

TEST_CASE("info tells what a model has and what decoding it reads") {
  const std::string model = golden_model("ttt_linear_mamba");
  const auto described = [&](const Arguments& options) {
    const Outcome outcome = run(Arguments{"info", model, "--context", "40", "--json"} + options);
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.output);
  };
  const json exact = described({}), narrow = described({"--dtype", "bfloat16"});
  const auto blocks = exact["parameters_by_block"].get<std::vector<std::int64_t>>();
  REQUIRE(blocks.size() == 2);
  const std::int64_t embedding = exact["parameters_by_part"]["embedding"];
  CHECK(blocks[0] + blocks[1] + embedding + 32 == exact["parameters"].get<std::int64_t>());  // and the last norm
  CHECK(exact["family"] == "ttt");
  CHECK(exact["state_bytes"].get<std::int64_t>() > 0);
  CHECK(exact["decode_microseconds"].get<double>() > 0);
  const double weights = exact["decode_weight_bytes"];
  CHECK(weights >= 4 * exact["parameters"].get<double>());
  CHECK(narrow["decode_weight_bytes"].get<double>() < 0.75 * weights);
  CHECK(exact["decode_bytes"].get<double>() == weights + exact["state_bytes"].get<double>());
  const Outcome text = run({"info", "--model", model});
  CHECK(contains(text.output, "  blocks 0–1, each"));
  CHECK(contains(text.output, "read for a token"));
  CHECK_FALSE(contains(text.output, " scale "));
  const std::string granite = std::string(TTT_GOLDEN_DIR) + "/families/model/granite";
  CHECK(contains(run({"info", granite}).output, "residual scale  "));
  CHECK(json::parse(run({"info", granite, "--json"}).output)["scales"]["embedding"] == 12);
}

TEST_CASE("the sizes of the published models have names") {
  const TemporaryFolder folder;
  const auto refused = [&](const Arguments& options, int exit_code, const Arguments& parts) {
    check_refused(folder, Arguments{"train", "--out", folder / "model"} + options, exit_code, parts);
  };
  // Which model a size makes is told before any text is read.
  refused({"--size", "125m", "--batch", "100000000000"}, 1, {"--width 768", "--depth 12"});
  refused({"--size", "1b", "--batch", "100000000000"}, 1, {"--width 2048", "--depth 24"});
  refused({"--size", "7b"}, 2, {"--size", "125m", "'7b'"});
  for (const std::string option : {"--width", "--depth", "--heads", "--hidden"})
    refused({"--size", "350m", option, "16"}, 2, {"--size", option});
}

TEST_CASE("checkpoints of the published JAX code become folders that give its logits") {
  const TemporaryFolder folder;
  const std::string golden = std::string(TTT_GOLDEN_DIR) + "/jax/";
  const auto convert = [&](const std::string& checkpoint, const std::string& out, const Arguments& options = {}) {
    return run_script("jax_to_folder.py", Arguments{checkpoint, folder / out} + options);
  };
  const Outcome linear = convert(golden + "ttt_linear_bf16/streaming_params.bin", "linear");
  CAPTURE(linear.errors);
  REQUIRE(linear.exit_code == 0);
  CHECK(run({"verify", folder / "linear", golden + "ttt_linear_bf16/golden.safetensors"}).exit_code == 0);
  const std::string state = golden + "ttt_mlp_fp32/streaming_train_state.bin";
  REQUIRE(convert(state, "mlp").exit_code == 0);
  CHECK(run({"verify", folder / "mlp", golden + "ttt_mlp_fp32/golden.safetensors"}).exit_code == 0);
  REQUIRE(convert(state, "faster", {"--base-learning-rate", "0.5"}).exit_code == 0);
  CHECK(run({"verify", folder / "faster", golden + "ttt_mlp_fp32/golden.safetensors"}).exit_code == 1);

  const std::string bytes = read_bytes(state);
  const auto refused = [&](const std::string& damaged) {
    const Outcome outcome = convert(folder.write("damaged.bin", damaged), "damaged");
    CAPTURE(outcome.errors);
    CHECK(outcome.exit_code == 1);
    CHECK(lines(outcome.errors) == 1);
    CHECK(contains(outcome.errors, "damaged.bin: "));
    CHECK_FALSE(fs::exists(folder / "damaged"));
  };
  refused("");
  refused(bytes.substr(0, bytes.size() - 1));
  refused(bytes.substr(1));
  refused(std::string(100, '\x91'));
  refused("\xdd\xff\xff\xff\xff");
}
