// SPDX-License-Identifier: MIT
// Training with the program: what it writes, how it stops, and how it goes on.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>
#include <thread>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"
#include "ttt/layers/layer_description.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

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

  const Outcome evaluated = run({"evaluate", "--model", model, "--context", "24", "--json"});
  REQUIRE(evaluated.exit_code == 0);
  const json evaluation = json::parse(evaluated.output);
  // The same windows in another batch size: not a bit is different.
  CHECK(evaluation["loss"] == events.back()["validation_loss"]);
  CHECK(evaluation["bits_per_byte"].get<double>() == Approx(evaluation["loss"].get<double>() / std::log(2.0)));
  CHECK(evaluation["loss_by_position"].size() == 24);
  const Outcome csv = run({"evaluate", "--model", model, "--data", place.text, "--context", "10", "--csv", "--quiet"});
  CHECK(csv.errors.empty());
  CHECK(std::count(csv.output.begin(), csv.output.end(), '\n') == 11);

  const Outcome narrow = run({"evaluate", "--model", model, "--context", "24", "--dtype", "bfloat16", "--json"});
  REQUIRE(narrow.exit_code == 0);
  const double rounded_loss = json::parse(narrow.output)["loss"].get<double>();
  CHECK(rounded_loss != evaluation["loss"].get<double>());
  CHECK(rounded_loss == Approx(evaluation["loss"].get<double>()).margin(0.01));

  const Arguments generate{"generate", "--model", model,    "--prompt", "line ",
                           "--tokens", "20",      "--seed", "5",        "--quiet"};
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
  for (const auto& [name, tensor] : Tensors(model).all) stored += static_cast<std::int64_t>(tensor.floats());
  CHECK(described["parameters"] == sum);
  CHECK(described["parameters"] == stored);
  CHECK(described["layer"] == "ttt-linear");
}

TEST_CASE("every layer trains with either backbone, and learns") {
  const Workplace place;
  for (const std::string_view name : ttt::LayerKinds::names)
    for (const std::string backbone : {"transformer", "mamba"}) {
      const std::string layer(name);
      CAPTURE(layer, backbone);
      Arguments arguments{"train",
                          "--data",
                          place.text,
                          "--width",
                          "16",
                          "--depth",
                          "1",
                          "--heads",
                          "2",
                          "--context",
                          "24",
                          "--batch",
                          "4",
                          "--eval-windows",
                          "2",
                          "--steps",
                          "40",
                          "--json",
                          "--quiet",
                          "--layer",
                          layer,
                          "--backbone",
                          backbone,
                          "--out",
                          place.folder / (layer + backbone)};
      if (layer == "sliding-window") arguments = arguments + Arguments{"--window", "7"};
      if (!ttt::LayerDescription(name).has("heads")) arguments.erase(arguments.begin() + 7, arguments.begin() + 9);
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

TEST_CASE("a hybrid trains, is described and goes on reading in its parts") {
  const Workplace place;
  const std::string model = place.folder / "hybrid";
  const Arguments sizes{"train", "--data",  place.text, "--width",        "16", "--depth", "3",  "--context",
                        "24",    "--batch", "4",        "--eval-windows", "2",  "--steps", "20", "--quiet"};
  const std::string pattern =
      "sliding-window:window=7:heads=1,gated-delta-net,ttt-linear:mini_batch=5+mamba:state_width=3";
  REQUIRE(run(sizes + Arguments{"--heads", "2", "--pattern", pattern, "--out", model}).exit_code == 0);
  const json described = json::parse(run({"info", "--model", model, "--json"}).output);
  CHECK(described["layer"] == "sliding-window,gated-delta-net,ttt-linear+mamba");
  CHECK(described["backbone"] == "transformer and mamba");
  CHECK(described["layers"] ==
        json{"sliding-window:window=7", "gated-delta-net:heads=2",
             "ttt-linear:heads=2:mini_batch=5:gate=true:share_query_key=true+mamba:state_width=3"});
  CHECK(run({"generate", "--model", model, "--prompt", "l", "--tokens", "5", "--quiet"}).output.size() == 6);
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
  const auto whole = Tensors(place.folder / "whole").all;
  CHECK_FALSE(Tensors(place.folder / "stopped").all == whole);

  REQUIRE(run({"train", "--resume", "--out", place.folder / "stopped", "--threads", "2"}).exit_code == 0);
  CHECK(Tensors(place.folder / "stopped").all == whole);
  std::size_t steps = 0;
  std::istringstream lines(read_bytes(log));
  for (std::string line; std::getline(lines, line);) steps += json::parse(line)["event"] == "step" ? 1 : 0;
  CHECK(steps == 400);
}

TEST_CASE("products in bfloat16 train beside those in float, and a resumed run has them too") {
  const Workplace place;
  // Wide enough that its products are large ones.
  const auto arguments = [&](const std::string& out, const std::string& products) {
    return Arguments{"train", "--data",         place.text,   "--width",   "64",    "--depth",
                     "1",     "--heads",        "2",          "--context", "64",    "--batch",
                     "16",    "--eval-windows", "2",          "--threads", "1",     "--steps",
                     "10",    "--json",         "--products", products,    "--out", place.folder / out};
  };
  const auto last_loss = [](const Outcome& outcome) {
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.output.substr(outcome.output.rfind('{')))["validation_loss"].get<double>();
  };
  const Outcome plain = run(arguments("float", "float")), rounded = run(arguments("rounded", "bfloat16"));
  CHECK(last_loss(rounded) != last_loss(plain));
  CHECK(last_loss(rounded) == Approx(last_loss(plain)).margin(0.02));
  const Outcome evaluated = run({"evaluate", "--model", place.folder / "rounded", "--context", "64", "--json"});
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
  CHECK(Tensors(place.folder / "stopped").all == Tensors(place.folder / "rounded").all);
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
  check_refused(place.folder, {"train", "--resume", "--out", model, "--seed", "9"}, 1,
                {"--seed", "expected 0", "found 9"});
  check_refused(place.folder, {"train", "--resume", "--out", place.folder / "nothing"}, 1,
                {"nothing/train.checkpoint"});
  place.folder.write("text.txt", sample_text(3999));
  check_refused(place.folder, {"train", "--resume", "--out", model, "--steps", "4", "--quiet"}, 1,
                {"--data", "another text"});
  place.folder.write("text.txt", sample_text(4000));

  const std::string checkpoint = read_bytes(model + "/train.checkpoint");
  std::string damaged = checkpoint;
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 1);
  for (const std::string& bytes :
       {damaged, checkpoint.substr(0, checkpoint.size() - 9), checkpoint + "x", std::string("{}")}) {
    place.folder.write("model/train.checkpoint", bytes);
    check_refused(place.folder, {"train", "--resume", "--out", model, "--quiet"}, 1,
                  {"train.checkpoint", "expected", "found"});
  }
  CHECK(run(place.tiny("model") + Arguments{"--steps", "2", "--force", "--quiet"}).exit_code == 0);
}
