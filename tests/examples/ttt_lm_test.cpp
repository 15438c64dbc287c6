// SPDX-License-Identifier: MIT
// The program as its users see it: help, logits and greedy tokens of known models, the comparison of layers.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "ttt/io/safetensors_set.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

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
    for (const std::string option : {"--seed", "--threads", "--quiet", "--json", "--version"})
      CHECK(contains(own.output, option));
    const Outcome version = run({command, "--version"});
    CHECK(version.exit_code == 0);
    CHECK(version.output == run({"--version"}).output);
    CHECK(is_one_line(version.output));
    for (const std::string part : {"Eigen ", "xsimd ", "CLI11 ", "nlohmann-json ", "C++ "})
      CHECK(contains(version.output, part));
  }
}

TEST_CASE("logits and greedy tokens of the golden models, whole and in pieces") {
  const TemporaryFolder folder;
  for (const std::string name :
       {"ttt_linear_transformer", "ttt_linear_mamba", "ttt_mlp_transformer", "ttt_mlp_mamba", "llama", "mistral"}) {
    CAPTURE(name);
    const std::string model = std::string(TTT_GOLDEN_DIR) + "/model/" + name;
    const auto golden = ttt::io::SafetensorsFile::open(model + "/golden.safetensors");
    const std::string ids = folder / (name + "_ids.safetensors"), out = folder / (name + "_logits.safetensors");
    write_ids(ids, golden.at("input_ids").shape, golden.values<std::int64_t>("input_ids"));
    const auto expected = golden.values<float>("logits");
    float largest = 0, error = 0;
    for (const float value : expected) largest = std::max(largest, std::abs(value));
    for (const Arguments& pieces : {Arguments{}, Arguments{"--pieces", "7,1,1,16"}, Arguments{"--pieces", "1"}}) {
      const Outcome outcome =
          run(Arguments{"logits", "--model", model, "--ids", ids, "--out", out, "--force"} + pieces);
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
    for (const std::int64_t id : golden.values<std::int64_t>("greedy_prompt"))
      prompt += (prompt.empty() ? "" : ",") + std::to_string(id);
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
  const Arguments arguments{"compare",   "--data",  place.text, "--layers", "ttt-linear,attention",
                            "--steps",   "4",       "--width",  "16",       "--depth",
                            "1",         "--heads", "2",        "--hidden", "64",
                            "--context", "24",      "--batch",  "2",        "--eval-every",
                            "2",         "--out",   out};
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
