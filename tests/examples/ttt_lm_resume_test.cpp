// SPDX-License-Identifier: MIT
// Runs that are stopped and go on: with every option that `train` has, and after every kind of end.
#include <algorithm>
#include <regex>
#include <set>

#include "examples/runs.hpp"
#include "examples/ttt_lm.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;

namespace {

/// The options of a help text.
std::set<std::string> options_of(const std::string& help) {
  std::set<std::string> names;
  const std::regex option("\n  (?:-\\w,)?(--[a-z-]+)");
  for (auto match = std::sregex_iterator(help.begin(), help.end(), option); match != std::sregex_iterator(); ++match)
    names.insert((*match)[1]);
  return names;
}

/// Options of a run: values that make another run than Place::tiny, and others that contradict them.
struct Case {
  std::string name;
  Arguments values, others;
  Options with = {};  ///< what else it needs
};

std::vector<Case> run_options(const Place& place) {
  const std::string tokenizer = place.folder / "tokenizer.json";
  const Options attention{{"--layer", {"attention"}}}, window{{"--layer", {"sliding-window"}}};
  const Options large{{"--width", {"64"}}, {"--context", {"64"}}, {"--batch", {"16"}}};  // with products that are large
  return {{"--data", {place.text, place.other_text}, {place.other_text}},
          {"--layer", {"ttt-mlp"}, {"ttt-linear"}},
          {"--pattern", {"attention,ttt-linear"}, {"attention"}},
          {"--tokenizer", {tokenizer}, {place.text}, {{"--context", {"12"}}}},
          {"--seed", {"7"}, {"0"}},
          {"--backbone", {"transformer"}, {"mamba"}},
          {"--width", {"32"}, {"16"}},
          {"--depth", {"2"}, {"1"}},
          {"--heads", {"1"}, {"2"}},
          {"--kv-heads", {"1"}, {"2"}, attention},
          {"--mini-batch", {"8"}, {"4"}},
          {"--window", {"7"}, {"8"}, window},
          {"--hidden", {"48"}, {"32"}},
          {"--inner-rate", {"0.3"}, {"1"}},
          {"--untied", {}, {}},
          {"--steps", {"61"}, {"60"}},
          {"--context", {"32"}, {"24"}},
          {"--batch", {"3"}, {"2"}},
          {"--accumulate", {"2"}, {"1"}},
          {"--carry-state", {"3"}, {"1"}},
          {"--products", {"bfloat16"}, {"float"}, large},
          {"--lr", {"0.01"}, {"0.003"}},
          {"--final-lr", {"0.5"}, {"0.1"}},
          {"--warmup", {"10"}, {"11"}},
          {"--weight-decay", {"0.3"}, {"0.1"}},
          {"--clip", {"0.5"}, {"1"}},
          {"--eval-every", {"7"}, {"8"}},
          {"--eval-windows", {"3"}, {"2"}},
          {"--final-windows", {"4"}, {"5"}},
          {"--freeze", {"*embed_tokens*"}, {"*norm*"}},
          {"--lr-factor", {"*norm*=2"}, {"*norm*=3"}}};
}

/// Those that change no number of a run, and how --resume may be called with them.
const std::vector<Case> free_options{{"--threads", {"2"}, {"1"}}, {"--save-every", {"3"}, {"4"}}};
/// Those that say how one call of the program goes; and those with a test of their own below: a published size, which
/// takes long, stands for four others, and how many updates fit into some minutes is different each time.
const std::set<std::string> call_options{"--out", "--force", "--resume", "--quiet", "--json", "--version", "--help"},
    own_tests{"--minutes", "--size"};

}  // namespace

TEST_CASE("a run goes on with every option that train has: log, validations and weights are those of the whole run") {
  const Place place;
  REQUIRE(run({"train-tokenizer", "--data", place.text, "--vocabulary", "270", "--out", place.folder / "tokenizer.json",
               "--quiet"})
              .exit_code == 0);
  std::vector<Case> cases = run_options(place);
  cases.insert(cases.end(), free_options.begin(), free_options.end());
  std::set<std::string> known = call_options;
  known.insert(own_tests.begin(), own_tests.end());
  for (const Case& option : cases) known.insert(option.name);
  CHECK(options_of(run({"train", "--help"}).output) == known);

  for (const Case& option : cases) {
    CAPTURE(option.name);
    Options changed = option.with;
    changed[option.name] = option.values;
    const std::string whole = "whole" + option.name, stopped = "stopped" + option.name, usual = "usual" + option.name;
    REQUIRE(run(words(place.tiny(usual, option.with))).exit_code == 0);
    REQUIRE(run(words(place.tiny(whole, changed))).exit_code == 0);
    const bool is_free = std::any_of(free_options.begin(), free_options.end(),
                                     [&](const Case& free) { return free.name == option.name; });
    const bool is_usual = Tensors(place.folder / whole).all == Tensors(place.folder / usual).all &&
                          events(place.folder / whole) == events(place.folder / usual);
    CHECK(is_usual == is_free);  // otherwise the option says nothing here, and is not tested

    const Outcome outcome = stop(words(place.tiny(stopped, changed)));
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 130);
    REQUIRE(events(place.folder / stopped).size() < events(place.folder / whole).size());
    const Arguments resume{"train", "--resume", "--out", place.folder / stopped};
    if (!is_free && !option.others.empty())
      check_refused(place.folder, resume + Arguments{option.name} + option.others + Arguments{"--quiet"}, 1,
                    {option.name + ": ", "expected ", "found "});
    const Arguments given = is_free ? Arguments{option.name} + option.others : Arguments();
    REQUIRE(run(resume + given + Arguments{"--quiet"}).exit_code == 0);
    check_same(place, stopped, whole);
    for (const std::string& done : {whole, stopped, usual}) fs::remove_all(place.folder / done);  // a refusal reads all
  }
}

TEST_CASE("a run that is killed goes on from its last checkpoint as if it had not been") {
  const Place place;
  const Options options{{"--save-every", {"3"}}, {"--eval-every", {"2"}}};
  REQUIRE(run(words(place.tiny("whole", options))).exit_code == 0);
  REQUIRE(stop(words(place.tiny("killed", options)), SIGKILL).exit_code == -1);
  place.folder.write("killed/train.jsonl", read_bytes(place.folder / "killed/train.jsonl") + "{\"event\":\"st");
  REQUIRE(run({"train", "--resume", "--out", place.folder / "killed"}).exit_code == 0);
  check_same(place, "killed", "whole");
}

TEST_CASE("a validation that was stopped is made up for, once") {
  const Place place;
  const std::string text = place.folder.write("long.txt", sample_text(400'000));
  const Options options{{"--data", {text}},       {"--eval-every", {"5"}}, {"--eval-windows", {"1000"}},
                        {"--save-every", {"50"}}, {"--steps", {"10"}},     {"--final-windows", {"2"}}};
  REQUIRE(run(words(place.tiny("whole", options))).exit_code == 0);
  REQUIRE(stop(words(place.tiny("stopped", options))).exit_code == 130);
  REQUIRE(events(place.folder / "stopped").back()["event"] == "step");  // the fifth, without its validation
  // Killed after that validation and before another checkpoint: it comes once more.
  REQUIRE(stop({"train", "--resume", "--out", place.folder / "stopped"}, SIGKILL).exit_code == -1);
  REQUIRE(run({"train", "--resume", "--out", place.folder / "stopped"}).exit_code == 0);
  check_same(place, "stopped", "whole");
}

TEST_CASE("a finished run is not touched, and more steps continue it at the final learning rate") {
  const Place place;
  const std::string model = place.folder / "model";
  const Outcome first = run(words(place.tiny("model", {{"--steps", {"8"}}})));
  REQUIRE(first.exit_code == 0);
  const auto before = place.folder.contents();
  const Arguments resume{"train", "--resume", "--out", model};
  const Outcome again = run(resume);
  CHECK(again.exit_code == 0);
  CHECK(again.output == first.output);
  CHECK(contains(again.errors, "finished after step 8", "--steps"));
  CHECK(run(resume + Arguments{"--steps", "8", "--json"}).output ==
        read_bytes(model + "/train.jsonl").substr(read_bytes(model + "/train.jsonl").rfind("{\"event\":\"end\"")));
  CHECK(place.folder.contents() == before);
  check_refused(place.folder, resume + Arguments{"--steps", "7"}, 1, {"--steps", "at least 8", "found 7"});
  check_refused(place.folder, resume + Arguments{"--minutes", "1"}, 1, {"--minutes", "expected none", "found 1.0"});

  const auto copy = [&](const std::string& name) {
    fs::copy(model, place.folder / name);
    return (place.folder / name).string();
  };
  const std::string twice = copy("twice");
  REQUIRE(run(resume + Arguments{"--steps", "14"}).exit_code == 0);
  REQUIRE(run({"train", "--resume", "--out", twice, "--steps", "11"}).exit_code == 0);
  REQUIRE(run({"train", "--resume", "--out", twice, "--steps", "14"}).exit_code == 0);
  CHECK(Tensors(twice).all == Tensors(model).all);
  const auto log = events(model);
  CHECK(std::count_if(log.begin(), log.end(), [](const json& e) { return e["event"] == "end"; }) == 2);
  for (const json& event : log)
    if (event["event"] == "step" && event["step"].get<int>() >= 8)
      CHECK(event["learning_rate"].get<double>() == 3e-3 * 0.1);

  REQUIRE(run(words(place.tiny("zero", {{"--steps", {"8"}}, {"--final-lr", {"0"}}}))).exit_code == 0);
  check_refused(place.folder, {"train", "--resume", "--out", place.folder / "zero", "--steps", "9"}, 1,
                {"--steps", "--final-lr", "found more"});
}

TEST_CASE("a run limited by time goes on where it was, and for as long as it was to") {
  const Place place;
  const std::string out = place.folder / "timed";
  REQUIRE(stop(words(place.tiny("timed", {{"--steps", {}}, {"--minutes", {"0.02"}}}))).exit_code == 130);
  const auto stopped = events(out);
  REQUIRE(run({"train", "--resume", "--out", out}).exit_code == 0);
  REQUIRE(run({"train", "--resume", "--out", out, "--minutes", "0.03"}).exit_code == 0);
  const auto all = events(out);
  REQUIRE(all.size() > stopped.size());
  CHECK(std::equal(stopped.begin(), stopped.end(), all.begin()));
  // Rising for a tenth, falling for the rest, and then as it is at the end.
  double rate = 0;
  bool falls = false;
  for (const json& event : all) {
    if (event["event"] != "step") continue;
    const double next = event["learning_rate"];
    CHECK((!falls || next <= rate));
    falls = next < rate || falls;
    rate = next;
  }
  CHECK(rate == 3e-3 * 0.1);
  check_refused(place.folder, {"train", "--resume", "--out", out, "--minutes", "0.01"}, 1,
                {"--minutes", "at least 0.03"});
}

TEST_CASE("data and tokenizer that moved are the same; others are refused") {
  const Place place;
  const std::string tokenizer = place.folder / "tokenizer.json", out = place.folder / "run";
  REQUIRE(run({"train-tokenizer", "--data", place.text, "--vocabulary", "270", "--out", tokenizer}).exit_code == 0);
  const Options options{{"--tokenizer", {tokenizer}}, {"--context", {"12"}}};
  REQUIRE(run(words(place.tiny("whole", options))).exit_code == 0);
  REQUIRE(stop(words(place.tiny("run", options))).exit_code == 130);
  fs::create_directory(place.folder / "elsewhere");
  const std::string text = place.folder / "elsewhere/text", moved = place.folder / "elsewhere/tokenizer.json";
  fs::rename(place.text, text);
  fs::rename(tokenizer, moved);
  const Arguments resume{"train", "--resume", "--quiet", "--out", out};
  check_refused(place.folder, resume, 1, {"--data", place.text, "nothing there"});
  check_refused(place.folder, resume + Arguments{"--data", place.other_text}, 1, {"--data", "another text"});
  place.folder.write("else.json", read_bytes(moved) + " ");
  check_refused(place.folder, resume + Arguments{"--data", text, "--tokenizer", place.folder / "else.json"}, 1,
                {"--tokenizer", "another, or none, in", "else.json"});
  REQUIRE(run(resume + Arguments{"--data", text, "--tokenizer", moved}).exit_code == 0);
  check_same(place, "run", "whole");
}
