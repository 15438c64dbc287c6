// SPDX-License-Identifier: MIT
// The program as its users see it: command line, files, exit codes, and one clear line when something is wrong.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <thread>

#include "examples/ttt_lm.hpp"
#include "support/catch.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace {

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

/// Text in which there is something to learn.
std::string sample_text(std::size_t size) {
  std::string text;
  for (unsigned i = 0; text.size() < size; ++i)
    text += "line " + std::to_string(i * i % 97) + " of the text, and so on\n";
  return text.substr(0, size);
}

/// A folder with a text, and arguments of a training so small that it takes no time.
struct Workplace {
  TemporaryFolder folder;
  std::string text = folder.write("text.txt", sample_text(4000));

  Arguments tiny(const std::string& out) const {
    return {"train", "--data", text, "--width", "16", "--depth", "1", "--heads", "2", "--context", "24", "--batch", "2",
            "--mini-batch", "4", "--eval-windows", "2", "--threads", "1", "--out", folder / out};
  }
  std::string model(const std::string& out = "model") const {
    REQUIRE(run(tiny(out) + Arguments{"--steps", "3", "--quiet"}).exit_code == 0);
    return folder / out;
  }
};

/// Tensors of a file, to be changed and written back.
struct Tensors {
  struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
    friend bool operator==(const Tensor&, const Tensor&) = default;
  };
  std::map<std::string, Tensor> all;
  friend bool operator==(const Tensors&, const Tensors&) = default;

  explicit Tensors(const std::string& path) {
    const auto file = ttt::io::SafetensorsFile::open(path);
    for (const auto& info : file.tensors()) all[info.name] = {info.shape, file.values<float>(info.name)};
  }
  void write(const std::string& path) const {
    std::vector<ttt::io::TensorSource> sources;
    for (const auto& [name, tensor] : all)
      sources.push_back(ttt::io::tensor_source<float>(name, tensor.shape, std::span<const float>(tensor.values)));
    ttt::io::write_safetensors(path, sources);
  }
};

void write_ids(const std::string& path, std::vector<std::int64_t> shape, const std::vector<std::int64_t>& ids) {
  const std::array sources{ttt::io::tensor_source<std::int64_t>("input_ids", std::move(shape), std::span<const std::int64_t>(ids))};
  ttt::io::write_safetensors(path, sources);
}

}  // namespace

TEST_CASE("help begins with examples and tells every command; version tells what was compiled in") {
  const Outcome help = run({"--help"});
  CHECK(help.exit_code == 0);
  CHECK(help.output.starts_with("Examples:\n  ttt-lm "));
  CHECK(help.errors.empty());
  for (const std::string command :
       {"train", "train-tokenizer", "evaluate", "generate", "logits", "info", "verify", "convert", "compare"}) {
    CAPTURE(command);
    CHECK(contains(help.output, "  " + command + " "));
    const Outcome own = run({command, "--help"});
    CHECK(own.exit_code == 0);
    CHECK(own.output.starts_with("Examples:\n  ttt-lm " + command));
    for (const std::string option : {"--seed", "--threads", "--quiet", "--json", "--version"}) CHECK(contains(own.output, option));
    const Outcome version = run({command, "--version"});
    CHECK(version.exit_code == 0);
    CHECK(version.output == run({"--version"}).output);
    CHECK(is_one_line(version.output));
    for (const std::string part : {"Eigen ", "xsimd ", "CLI11 ", "nlohmann-json ", "C++ "}) CHECK(contains(version.output, part));
  }
}

TEST_CASE("wrong usage is one line that names the option, and exit code 2") {
  const Workplace place;
  const Arguments tiny = place.tiny("model");
  const auto refused = [&](const Arguments& arguments, const Arguments& parts) {
    check_refused(place.folder, arguments, 2, parts);
  };
  refused({}, {"--help"});
  refused({"trian"}, {"'trian'", "no command"});
  refused({"train"}, {"--out"});
  refused(tiny + Arguments{"--stpes", "3"}, {"--stpes", "not expected"});
  refused(tiny + Arguments{"--steps", "3", "--minutes", "1"}, {"--steps", "--minutes"});
  refused(tiny + Arguments{"--resume", "--force"}, {"--resume", "--force"});
  refused(tiny + Arguments{"--steps", "many"}, {"--steps", "whole number", "many"});
  refused(tiny + Arguments{"--depth", "0"}, {"--depth", "at least 1", "found 0"});
  refused(tiny + Arguments{"--width", "1000000000000"}, {"--width", "at most 1000000", "found 1000000000000"});
  refused(tiny + Arguments{"--seed", "-1"}, {"--seed", "at least 0", "found -1"});
  refused({"train", "--data", "", "--out", place.folder / "model"}, {"--data", "empty"});
  refused(tiny + Arguments{"--lr", "-1"}, {"--lr", "above 0", "-1"});
  refused(tiny + Arguments{"--layer", "ttt-cubic"}, {"--layer", "ttt-linear", "'ttt-cubic'"});
  refused(tiny + Arguments{"--backbone", "llama"}, {"--backbone", "transformer", "'llama'"});
  refused(tiny + Arguments{"--window", "8"}, {"--window", "sliding-window"});
  refused(tiny + Arguments{"--kv-heads", "1"}, {"--kv-heads", "attention"});
  refused(tiny + Arguments{"--layer", "attention"}, {"--mini-batch", "ttt-linear"});
  refused(tiny + Arguments{"--lr-factor", "*norm*"}, {"--lr-factor", "PATTERN=FACTOR", "*norm*"});
  refused({"generate", "--model", "m", "--prompt", "a", "--prompt-ids", "1"}, {"--prompt", "--prompt-ids"});
  refused({"logits", "--model", "m", "--ids", "i", "--out", "o", "--pieces", "7,0"}, {"--pieces", "at least 1"});
  refused({"generate", "--model", "m", "--prompt-ids", ""}, {"--prompt-ids", "empty"});
  refused({"compare", "--layers", "ttt-mlp,ttt-mlp", "--out", place.folder / "compared"},
          {"--layers", "once", "'ttt-mlp'"});
  refused({"evaluate", "--model", "m", "--csv", "--json"}, {"--csv", "--json"});
  refused({"generate", "--model", "m", "--prompt", "a", "--dtype", "int8"}, {"--dtype", "bfloat16", "'int8'"});
}

TEST_CASE("a training writes a model that every command reads") {
  const Workplace place;
  const Outcome outcome = run(place.tiny("model") + Arguments{"--steps", "8", "--json"});
  REQUIRE(outcome.exit_code == 0);
  std::vector<json> events;
  std::istringstream lines(outcome.output);
  for (std::string line; std::getline(lines, line);) events.push_back(json::parse(line));
  CHECK(std::count_if(events.begin(), events.end(), [](const json& e) { return e["event"] == "step"; }) == 8);
  REQUIRE(events.back()["event"] == "end");
  CHECK(read_bytes(place.folder / "model/train.jsonl") == outcome.output);
  for (const std::string name : {"config.json", "model.safetensors", "train.checkpoint"})
    CHECK(fs::exists(place.folder / ("model/" + name)));
  const std::string model = place.folder / "model";

  const Outcome evaluated = run({"evaluate", "--model", model, "--data", place.text, "--context", "24", "--json"});
  REQUIRE(evaluated.exit_code == 0);
  const json evaluation = json::parse(evaluated.output);
  // The same windows in another batch size: not a bit is different.
  CHECK(evaluation["loss"] == events.back()["validation_loss"]);
  CHECK(evaluation["bits_per_byte"].get<double>() == Approx(evaluation["loss"].get<double>() / std::log(2.0)));
  CHECK(evaluation["loss_by_position"].size() == 24);
  const Outcome csv = run({"evaluate", "--model", model, "--data", place.text, "--context", "10", "--csv", "--quiet"});
  CHECK(csv.errors.empty());
  CHECK(std::count(csv.output.begin(), csv.output.end(), '\n') == 11);

  const Outcome narrow =
      run({"evaluate", "--model", model, "--data", place.text, "--context", "24", "--dtype", "bfloat16", "--json"});
  REQUIRE(narrow.exit_code == 0);
  const double rounded_loss = json::parse(narrow.output)["loss"].get<double>();
  CHECK(rounded_loss != evaluation["loss"].get<double>());
  CHECK(rounded_loss == Approx(evaluation["loss"].get<double>()).margin(0.01));

  const Arguments generate{"generate", "--model", model, "--prompt", "line ", "--tokens", "20", "--seed", "5", "--quiet"};
  const Outcome first = run(generate), second = run(generate + Arguments{"--threads", "2"});
  CHECK(first.exit_code == 0);
  CHECK(first.errors.empty());
  CHECK(first.output.size() == 25);
  CHECK(first.output.starts_with("line "));
  CHECK(first.output == second.output);

  const Outcome info = run({"info", "--model", model, "--context", "32", "--json"});
  REQUIRE(info.exit_code == 0);
  const json described = json::parse(info.output);
  std::int64_t sum = 0;
  for (const auto& [part, count] : described["parameters_by_part"].items()) sum += count.get<std::int64_t>();
  std::int64_t stored = 0;
  for (const auto& [name, tensor] : Tensors(model + "/model.safetensors").all) stored += static_cast<std::int64_t>(tensor.values.size());
  CHECK(described["parameters"] == sum);
  CHECK(described["parameters"] == stored);
  CHECK(described["layer"] == "ttt-linear");
}

TEST_CASE("every layer trains with either backbone, and learns") {
  const Workplace place;
  for (const std::string layer : {"ttt-linear", "ttt-mlp", "attention", "sliding-window"})
    for (const std::string backbone : {"transformer", "mamba"}) {
      CAPTURE(layer, backbone);
      Arguments arguments{"train", "--data", place.text, "--width", "16", "--depth", "1", "--heads", "2", "--context", "24",
                          "--batch", "4", "--eval-windows", "2", "--steps", "30", "--json", "--quiet", "--layer", layer,
                          "--backbone", backbone, "--out", place.folder / (layer + backbone)};
      if (layer == "sliding-window") arguments = arguments + Arguments{"--window", "7"};
      const Outcome outcome = run(arguments);
      REQUIRE(outcome.exit_code == 0);
      const std::string last = outcome.output.substr(outcome.output.rfind('{'));
      // 5.55 nats is what knowing nothing costs.
      CHECK(json::parse(last)["validation_loss"].get<double>() < 4.5);
      const Outcome generated =
          run({"generate", "--model", place.folder / (layer + backbone), "--prompt", "l", "--tokens", "5", "--quiet"});
      CHECK(generated.output.size() == 6);
    }
}

TEST_CASE("Ctrl-C saves and exits with 130; the run goes on bit for bit as if it was never stopped") {
  const Workplace place;
  const Arguments settings{"--steps", "400", "--carry-state", "3", "--accumulate", "2"};
  REQUIRE(run(place.tiny("whole") + settings + Arguments{"--quiet"}).exit_code == 0);

  const std::string log = place.folder / "stopped/train.jsonl";
  Program running(emulator, program, place.tiny("stopped") + settings);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (!contains(read_bytes(log), "\"step\":5,") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  running.send(SIGINT);
  const Outcome stopped = running.wait();
  REQUIRE(stopped.exit_code == 130);
  CHECK(contains(stopped.errors, "ttt-lm train --resume --out " + (place.folder / "stopped").string()));
  CHECK(fs::exists(place.folder / "stopped/model.safetensors"));
  const Tensors whole(place.folder / "whole/model.safetensors");
  CHECK_FALSE(Tensors(place.folder / "stopped/model.safetensors") == whole);

  REQUIRE(run({"train", "--resume", "--out", place.folder / "stopped", "--threads", "2"}).exit_code == 0);
  CHECK(Tensors(place.folder / "stopped/model.safetensors") == whole);
  std::size_t steps = 0;
  std::istringstream lines(read_bytes(log));
  for (std::string line; std::getline(lines, line);) steps += json::parse(line)["event"] == "step" ? 1 : 0;
  CHECK(steps == 400);
}

TEST_CASE("products in bfloat16 train beside those in float, and a resumed run has them too") {
  const Workplace place;
  // Wide enough that its products are large ones.
  const auto arguments = [&](const std::string& out, const std::string& products) {
    return Arguments{"train", "--data", place.text, "--width", "64", "--depth", "1", "--heads", "2", "--context", "64",
                     "--batch", "16", "--eval-windows", "2", "--threads", "1", "--steps", "24", "--json",
                     "--products", products, "--out", place.folder / out};
  };
  const auto last_loss = [](const Outcome& outcome) {
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.output.substr(outcome.output.rfind('{')))["validation_loss"].get<double>();
  };
  const Outcome plain = run(arguments("float", "float")), rounded = run(arguments("rounded", "bfloat16"));
  CHECK(last_loss(rounded) != last_loss(plain));
  CHECK(last_loss(rounded) == Approx(last_loss(plain)).margin(0.02));
  const Outcome evaluated =
      run({"evaluate", "--model", place.folder / "rounded", "--data", place.text, "--context", "64", "--json"});
  CHECK(json::parse(evaluated.output)["loss"] == last_loss(rounded));  // the validation is that of the model in float

  const bool is_fast = contains(run({"--version"}).output, "AVX512-BF16");
  const std::string note = "note: this program or processor has no AVX512-BF16";
  CHECK(contains(rounded.errors, note) != is_fast);
  CHECK((is_fast || rounded.errors.find(note) == rounded.errors.rfind(note)));
  CHECK_FALSE(contains(plain.errors, note));

  const std::string log = place.folder / "stopped/train.jsonl";
  Program running(emulator, program, arguments("stopped", "bfloat16"));
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
  while (!contains(read_bytes(log), "\"step\":2,") && std::chrono::steady_clock::now() < deadline)
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  running.send(SIGINT);
  REQUIRE(running.wait().exit_code == 130);
  check_refused(place.folder, {"train", "--resume", "--out", place.folder / "stopped", "--products", "float"}, 1,
                {"--products", "expected \"bfloat16\"", "found \"float\""});
  REQUIRE(run({"train", "--resume", "--out", place.folder / "stopped", "--threads", "2"}).exit_code == 0);
  CHECK(Tensors(place.folder / "stopped/model.safetensors") == Tensors(place.folder / "rounded/model.safetensors"));
  check_refused(place.folder, {"train", "--products", "double", "--out", place.folder / "x"}, 2,
                {"--products", "float, bfloat16", "'double'"});
}

TEST_CASE("a run limited by time ends in time") {
  const Workplace place;
  const auto start = std::chrono::steady_clock::now();
  const Outcome outcome = run(place.tiny("model") + Arguments{"--minutes", "0.01", "--json"});
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  CHECK(outcome.exit_code == 0);
  const json end = json::parse(outcome.output.substr(outcome.output.rfind('{')));
  CHECK(end["seconds"].get<double>() >= 0.6);
  CHECK(end["step"].get<int>() >= 1);
  CHECK(seconds < 60);
}

TEST_CASE("what a run left is not overwritten, and only its own configuration goes on with it") {
  const Workplace place;
  const std::string model = place.model();
  check_refused(place.folder, place.tiny("model") + Arguments{"--steps", "3"}, 1, {model, "--resume", "--force"});
  check_refused(place.folder, {"train", "--resume", "--out", model, "--width", "32"}, 1,
                {"--width", "expected 16", "found 32", "train.checkpoint"});
  check_refused(place.folder, {"train", "--resume", "--out", model, "--seed", "9"}, 1, {"--seed", "expected 0", "found 9"});
  check_refused(place.folder, {"train", "--resume", "--out", place.folder / "nothing"}, 1, {"nothing/train.checkpoint"});
  place.folder.write("text.txt", sample_text(3999));
  check_refused(place.folder, {"train", "--resume", "--out", model, "--quiet"}, 1, {"--data", "another text"});
  place.folder.write("text.txt", sample_text(4000));

  const std::string checkpoint = read_bytes(model + "/train.checkpoint");
  std::string damaged = checkpoint;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  for (const std::string& bytes : {damaged, checkpoint.substr(0, checkpoint.size() - 9), checkpoint + "x", std::string("{}")}) {
    place.folder.write("model/train.checkpoint", bytes);
    check_refused(place.folder, {"train", "--resume", "--out", model, "--quiet"}, 1, {"train.checkpoint", "expected", "found"});
  }
  CHECK(run(place.tiny("model") + Arguments{"--steps", "2", "--force", "--quiet"}).exit_code == 0);
}

TEST_CASE("unusable data is named, and no folder is made") {
  const Workplace place;
  const auto refused = [&](const std::string& path, const Arguments& parts) {
    Arguments arguments = place.tiny("model");
    arguments[2] = path;
    check_refused(place.folder, arguments + Arguments{"--steps", "1"}, 1, parts + Arguments{path});
  };
  refused(place.folder.write("binary", sample_text(500) + std::string(1, '\0') + sample_text(500)), {"binary"});
  refused(place.folder.write("empty.txt", ""), {"empty"});
  refused(place.folder.write("short.txt", "a few words"), {"too short", "expected 25", "found 9"});
  refused(place.folder.write("no_validation.txt", sample_text(60)), {"validation", "expected"});
  refused(place.folder / "missing.txt", {"no such file"});
  fs::create_directories(place.folder / "folder");
  check_refused(place.folder, {"evaluate", "--model", place.model("other"), "--data", place.folder / "folder", "--quiet"}, 1,
                {"data", "none"});
  if (geteuid() != 0) {
    const std::string secret = place.folder.write("secret.txt", sample_text(500));
    fs::permissions(secret, fs::perms::none);
    Arguments arguments = place.tiny("model");
    arguments[2] = secret;
    const Outcome outcome = run(arguments);
    CHECK(outcome.exit_code == 1);
    CHECK(contains(outcome.errors, secret + ": the file cannot be read"));
  }
}

TEST_CASE("sizes that make no model are named, and no folder is made") {
  const Workplace place;
  std::string out = "model";
  const auto refused = [&](const Arguments& options, const Arguments& parts) {
    check_refused(place.folder,
                  Arguments{"train", "--data", place.text, "--width", "16", "--context", "24", "--quiet"} + options +
                      Arguments{"--out", place.folder / out},
                  1, parts);
  };
  for (const std::string layer : {"ttt-linear", "ttt-mlp", "attention", "sliding-window"}) {
    refused({"--layer", layer, "--heads", "3"}, {"heads", "16", "3"});
    refused({"--layer", layer, "--heads", "16"}, {"even", "1"});
  }
  refused({"--layer", "attention", "--heads", "4", "--kv-heads", "3"}, {"heads", "4", "3"});
  refused({"--steps", "5", "--warmup", "6"}, {"--warmup", "5", "found 6"});
  refused({"--minutes", "5", "--warmup", "6"}, {"--warmup", "share", "found 6"});
  refused({"--freeze", "*nothing*"}, {"'*nothing*'", "matches a parameter"});
  refused({"--batch", "100000000000"}, {"--batch 100000000000", "--context 24", "--accumulate"});
  refused({"--depth", "1000000"}, {"--depth 1000000", "fits into", "needs"});
  place.folder.write("file", "not a folder");
  check_refused(place.folder,
                {"compare", "--data", place.text, "--width", "16", "--heads", "2", "--context", "24", "--quiet",
                 "--out", place.folder / "file/compared"},
                1, {"file/compared", "cannot make the folder"});
  out = "file/model";
  refused({"--heads", "2", "--steps", "1"}, {"file/model", "cannot make the folder"});
}

TEST_CASE("a model folder that is not whole is refused by the name of what is wrong") {
  const Workplace place;
  const std::string model = place.model(), weights = model + "/model.safetensors";
  const std::string good_weights = read_bytes(weights), good_config = read_bytes(model + "/config.json");
  const Tensors good(weights);
  const std::string norm = "model.norm.weight";
  const auto refused = [&](const Arguments& parts) {
    check_refused(place.folder, {"info", "--model", model}, 1, parts);
    check_refused(place.folder, {"generate", "--model", model, "--prompt", "a"}, 1, parts);
  };
  const auto refused_with = [&](const Tensors& tensors, const Arguments& parts) {
    tensors.write(weights);
    refused(parts);
    place.folder.write("model/model.safetensors", good_weights);
  };
  SECTION("a missing tensor") {
    Tensors tensors = good;
    tensors.all.erase(norm);
    refused_with(tensors, {"model.safetensors", norm});
  }
  SECTION("an extra tensor") {
    Tensors tensors = good;
    tensors.all["model.surplus.weight"] = {{2}, {1, 2}};
    refused_with(tensors, {"model.safetensors", "model.surplus.weight"});
  }
  SECTION("a misshapen tensor") {
    Tensors tensors = good;
    tensors.all[norm] = {{4, 4}, std::vector<float>(16, 1)};
    refused_with(tensors, {"model.safetensors", norm, "16", "expected", "found"});
  }
  SECTION("a tensor with NaN or infinity") {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Tensors tensors = good;
      tensors.all[norm].values[3] = value;
      refused_with(tensors, {"model.safetensors", norm, "finite"});
    }
  }
  SECTION("a truncated or overlong file, or none") {
    for (const std::string& bytes : {good_weights.substr(0, good_weights.size() - 5), good_weights + "more", std::string("no")}) {
      place.folder.write("model/model.safetensors", bytes);
      refused({"model.safetensors", "expected", "found"});
    }
    fs::remove(weights);
    refused({"model.safetensors"});
  }
  SECTION("a configuration that makes no model") {
    const auto refused_config = [&](const char* key, const json& value, const Arguments& parts) {
      json config = json::parse(good_config);
      config[key] = value;
      place.folder.write("model/config.json", config.dump());
      refused(parts);
    };
    refused_config("num_attention_heads", 3, {"heads", "16", "3"});
    refused_config("num_attention_heads", 16, {"1"});
    refused_config("ttt_layer_type", "cubic", {"config.json", "cubic"});
    refused_config("model_type", "unheard-of", {"config.json", "unheard-of"});
    place.folder.write("model/config.json", "{\"model_type\":");
    refused({"config.json"});
  }
}

TEST_CASE("prompts and ids that cannot be read are refused") {
  const Workplace place;
  const std::string model = place.model();
  const auto refused = [&](const Arguments& options, const Arguments& parts) {
    check_refused(place.folder, Arguments{"generate", "--model", model} + options, 1, parts);
  };
  refused({}, {"--prompt", "empty"});
  refused({"--prompt", ""}, {"--prompt", "empty"});
  refused({"--prompt-file", place.folder.write("nothing.txt", "")}, {"nothing.txt", "empty"});
  refused({"--prompt-file", place.folder / "missing.txt"}, {"missing.txt"});
  refused({"--prompt-ids", "1,256"}, {"--prompt-ids", "255", "256"});
  refused({"--prompt-ids", "-1"}, {"--prompt-ids", "-1"});
  refused({"--prompt", "a", "--top-p", "0"}, {"top-p", "above 0"});

  const std::string ids = place.folder / "ids.safetensors", out = place.folder / "out.safetensors";
  const auto refused_ids = [&](const Arguments& parts) {
    check_refused(place.folder, {"logits", "--model", model, "--ids", ids, "--out", out}, 1, parts + Arguments{"ids.safetensors"});
  };
  refused_ids({});
  write_ids(ids, {2, 3}, {1, 2, 3, 4, 256, 6});
  refused_ids({"row 1, token 1", "255", "256"});
  write_ids(ids, {1, 2}, {1, -1});
  refused_ids({"row 0, token 1", "-1"});
  write_ids(ids, {3}, {1, 2, 3});
  refused_ids({"input_ids", "[B, T]", "[3]"});
  write_ids(ids, {2, 0}, {});
  refused_ids({"input_ids", "at least one id"});
  place.folder.write("ids.safetensors", "no tensors");
  refused_ids({});
  write_ids(ids, {1, 2}, {1, 2});
  place.folder.write("out.safetensors", "precious");
  check_refused(place.folder, {"logits", "--model", model, "--ids", ids, "--out", out}, 1, {"out.safetensors", "--force"});
  CHECK(run({"logits", "--model", model, "--ids", ids, "--out", out, "--force"}).exit_code == 0);
}

TEST_CASE("logits and greedy tokens of the golden models, whole and in pieces") {
  const TemporaryFolder folder;
  for (const std::string name : {"ttt_linear_transformer", "ttt_linear_mamba", "ttt_mlp_transformer", "ttt_mlp_mamba", "llama", "mistral"}) {
    CAPTURE(name);
    const std::string model = std::string(TTT_GOLDEN_DIR) + "/model/" + name;
    const auto golden = ttt::io::SafetensorsFile::open(model + "/golden.safetensors");
    const std::string ids = folder / (name + "_ids.safetensors"), out = folder / (name + "_logits.safetensors");
    write_ids(ids, golden.at("input_ids").shape, golden.values<std::int64_t>("input_ids"));
    const auto expected = golden.values<float>("logits");
    float largest = 0, error = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    for (const Arguments& pieces : {Arguments{}, Arguments{"--pieces", "7,1,1,16"}, Arguments{"--pieces", "1"}}) {
      const Outcome outcome = run(Arguments{"logits", "--model", model, "--ids", ids, "--out", out, "--force"} + pieces);
      CAPTURE(pieces, outcome.errors);
      REQUIRE(outcome.exit_code == 0);
      const auto file = ttt::io::SafetensorsFile::open(out);
      CHECK(file.at("logits").shape == golden.at("logits").shape);
      const auto found = file.values<float>("logits");
      REQUIRE(found.size() == expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) error = std::max(error, std::abs(found[i] - expected[i]));
      CHECK(error <= 2e-5F * largest);
    }
    std::string prompt, continuation;
    for (const std::int64_t id : golden.values<std::int64_t>("greedy_prompt")) prompt += (prompt.empty() ? "" : ",") + std::to_string(id);
    const auto greedy = golden.values<std::int64_t>("greedy_ids");
    for (const std::int64_t id : greedy) continuation += (continuation.empty() ? "" : " ") + std::to_string(id);
    const Outcome generated = run({"generate", "--model", model, "--prompt-ids", prompt, "--tokens",
                                   std::to_string(greedy.size()), "--temperature", "0"});
    CHECK(generated.exit_code == 0);
    CHECK(generated.output == continuation + "\n");
    check_refused(folder, {"generate", "--model", model, "--prompt", "text"}, 1, {model, "256", "96", "--prompt-ids"});
  }
}

TEST_CASE("compare trains all alike with matched parameters and writes its curves") {
  const Workplace place;
  const std::string out = place.folder / "compared";
  const Arguments arguments{"compare", "--data", place.text, "--layers", "ttt-linear,attention", "--steps", "4", "--width", "16",
                            "--depth", "1", "--heads", "2", "--hidden", "64", "--context", "24", "--batch", "2",
                            "--eval-every", "2", "--out", out};
  const Outcome outcome = run(arguments);
  CAPTURE(outcome.errors);
  REQUIRE(outcome.exit_code == 0);
  const json result = json::parse(read_bytes(out + "/compare.json"));
  REQUIRE(result["runs"].size() == 3);
  const double parameters = result["runs"][0]["parameters"];
  for (const auto& compared : result["runs"]) {
    const std::string name = compared["name"];
    CAPTURE(name);
    CHECK(std::abs(compared["parameters"].get<double>() - parameters) <= 0.01 * parameters);
    CHECK(compared["curve"].size() == 2);
    CHECK(compared["curve"][1]["tokens"] == 4 * 2 * 24);
    CHECK(compared["loss_by_position"].size() == 24);
    CHECK(compared["decode_microseconds"].size() == 3);
    CHECK(fs::exists(out + "/" + name + "/model.safetensors"));
  }
  CHECK(result["runs"][0]["state_bytes"][0] == result["runs"][0]["state_bytes"][2]);
  CHECK(result["runs"][1]["state_bytes"][0] < result["runs"][1]["state_bytes"][2]);
  for (const std::string name : {"ttt-linear, mamba", "attention, transformer", "attention, mamba"}) {
    CHECK(contains(outcome.output, name));
    CHECK(contains(read_bytes(out + "/compare.svg"), ">" + name + "</text>"));
  }
  const auto lines = [](const std::string& text) { return std::count(text.begin(), text.end(), '\n'); };
  CHECK(lines(read_bytes(out + "/loss.csv")) == 1 + 3 * 2);
  CHECK(lines(read_bytes(out + "/position.csv")) == 1 + 3 * 24);
  check_refused(place.folder, arguments, 1, {out, "--force"});
}

TEST_CASE("output that cannot be written is a failure") {
  if (!fs::exists("/dev/full")) return;
  const Workplace place;
  const Outcome outcome = Program(emulator, program, {"info", "--model", place.model()}, "/dev/full").wait();
  CHECK(outcome.exit_code == 1);
  CHECK(contains(outcome.errors, "standard output"));
}
