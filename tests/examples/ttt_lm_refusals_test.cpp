// SPDX-License-Identifier: MIT
// What the program refuses: one clear line, an exit code, and nothing changed on disk.
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

TEST_CASE("wrong usage is one line that names the option, and exit code 2") {
  const Workplace place;
  const Arguments tiny = place.tiny("model");
  const auto refused = [&](const Arguments& arguments, const Arguments& parts) {
    check_refused(place.folder, arguments, 2, parts);
  };
  refused({}, {"--help"});
  refused({"trian"}, {"'trian'", "no command", "did you mean 'train'?"});
  refused({"train"}, {"--out"});
  refused(tiny + Arguments{"--stpes", "3"}, {"'--stpes'", "no option", "did you mean '--steps'?"});
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
  refused(tiny + Arguments{"--layer", "mamba"}, {"means nothing to layer mamba", "ttt-linear"});
  refused(tiny + Arguments{"--layer", "mamba:heads=2"}, {"--layer", "option of layer mamba", "'heads'"});
  refused(tiny + Arguments{"--layer", "attention:bias=yes"}, {"--layer", "option bias", "true or false", "'yes'"});
  refused(tiny + Arguments{"--pattern", "attention,rwkv"}, {"--pattern", "ttt-linear", "'rwkv'"});
  refused(tiny + Arguments{"--pattern", "attention", "--layer", "attention"}, {"--pattern", "--layer"});
  refused(tiny + Arguments{"--steps", "5", "--warmup", "6"}, {"--warmup", "5", "found 6"});
  refused(tiny + Arguments{"--minutes", "5", "--warmup", "6"}, {"--warmup", "share", "found 6"});
  refused(tiny + Arguments{"--lr-factor", "*norm*"}, {"--lr-factor", "PATTERN=FACTOR", "*norm*"});
  refused({"generate", "--model", "m", "--prompt", "a", "--prompt-ids", "1"}, {"--prompt", "--prompt-ids"});
  refused({"logits", "--model", "m", "--ids", "i", "--out", "o", "--pieces", "7,0"}, {"--pieces", "at least 1"});
  refused({"generate", "--model", "m", "--prompt-ids", ""}, {"--prompt-ids", "empty"});
  refused({"compare", "--layers", "ttt-mlp,ttt-mlp", "--out", place.folder / "compared"},
          {"--layers", "once", "'ttt-mlp'"});
  for (const std::string top_p : {"0", "-0.5", "1.5", "nan", "inf", "most"})
    refused({"generate", "--model", "m", "--prompt", "a", "--top-p", top_p},
            {"--top-p", "above 0 and at most 1", "found " + top_p});
  refused({"generate", "--model", "m", "--prompt", "a", "--top-k", "-1"}, {"--top-k", "at least 0", "found -1"});
  refused({"generate", "--model", "m", "--prompt", "a", "--temperature", "nan"},
          {"--temperature", "at least 0", "found nan"});
  refused({"evaluate", "--model", "m", "--csv", "--json"}, {"--csv", "--json"});
  refused({"generate", "--model", "m", "--prompt", "a", "--dtype", "int8"}, {"--dtype", "bfloat16", "'int8'"});
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
  refused(place.folder / "missing.txt", {"no such file"});
  fs::create_directories(place.folder / "folder");
  check_refused(place.folder,
                {"evaluate", "--model", place.model("other"), "--data", place.folder / "folder", "--quiet"}, 1,
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
  const Tensors good(model);
  const std::string norm = "model.norm.weight";
  const auto refused = [&](const Arguments& parts) {
    check_refused(place.folder, {"info", "--model", model}, 1, parts);
    check_refused(place.folder, {"generate", "--model", model, "--prompt", "a"}, 1, parts);
  };
  const auto refused_with = [&](const Tensors& tensors, const Arguments& parts) {
    tensors.write(model);
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
    tensors.all["model.surplus.weight"] = {{2}, 2, 1};
    refused_with(tensors, {"model.safetensors", "model.surplus.weight"});
  }
  SECTION("a misshapen tensor") {
    Tensors tensors = good;
    tensors.all[norm] = {{4, 4}, 16, 1};
    refused_with(tensors, {"model.safetensors", norm, "16", "expected", "found"});
  }
  SECTION("a tensor with NaN or infinity") {
    for (const float value : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      Tensors tensors = good;
      tensors.all[norm].set(3, value);
      refused_with(tensors, {"model.safetensors", norm, "finite"});
    }
  }
  SECTION("a truncated or overlong file, or none") {
    for (const std::string& bytes :
         {good_weights.substr(0, good_weights.size() - 5), good_weights + "more", std::string("no")}) {
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

TEST_CASE("a model whose logits say nothing is named, with the place") {
  const Workplace place;
  const std::string model = place.model();
  Tensors tensors(model);
  auto& norm = tensors.all["model.norm.weight"];
  for (std::size_t i = 0; i < 16; ++i) norm.set(i, 3e38F);
  tensors.write(model);
  const Outcome outcome = run({"generate", "--model", model, "--prompt", "ab", "--quiet"});
  CHECK(outcome.exit_code == 1);
  CHECK(outcome.output == "ab");
  CHECK(is_one_line(outcome.errors));
  CHECK(contains(outcome.errors, model + ", after token 2", "logit of token", "expected a finite number"));
}

TEST_CASE("prompts and ids that cannot be read are refused") {
  const Workplace place;
  const std::string model = place.model();
  const auto refused = [&](const Arguments& options, const Arguments& parts) {
    check_refused(place.folder, Arguments{"generate", "--model", model} + options, 1, parts);
  };
  refused({}, {"standard input", "empty"});
  refused({"--prompt", ""}, {"--prompt", "empty"});
  refused({"--prompt-file", place.folder.write("nothing.txt", "")}, {"nothing.txt", "empty"});
  refused({"--prompt-file", place.folder / "missing.txt"}, {"missing.txt"});
  refused({"--prompt-ids", "1,256"}, {"--prompt-ids", "255", "256"});
  refused({"--prompt-ids", "-1"}, {"--prompt-ids", "-1"});

  const std::string ids = place.folder / "ids.safetensors", out = place.folder / "out.safetensors";
  const auto refused_ids = [&](const Arguments& parts) {
    check_refused(place.folder, {"logits", "--model", model, "--ids", ids, "--out", out}, 1,
                  parts + Arguments{"ids.safetensors"});
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
  check_refused(place.folder, {"logits", "--model", model, "--ids", ids, "--out", out}, 1,
                {"out.safetensors", "--force"});
  CHECK(run({"logits", "--model", model, "--ids", ids, "--out", out, "--force"}).exit_code == 0);
}

TEST_CASE("output that cannot be written is a failure") {
  if (!fs::exists("/dev/full")) return;
  const Workplace place;
  const Outcome outcome = Program(emulator, program, {"info", "--model", place.model()}, "/dev/full").wait();
  CHECK(outcome.exit_code == 1);
  CHECK(contains(outcome.errors, "standard output"));
}
