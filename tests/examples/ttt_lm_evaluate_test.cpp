// SPDX-License-Identifier: MIT
// What `ttt-lm evaluate` scores: whole texts, last tenths, the data of a run, short files, several files.
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

namespace {

struct Scores {
  json result;
  std::string notes;
};

Scores evaluate(const std::string& model, const Arguments& options) {
  const Outcome outcome = run(Arguments{"evaluate", "--model", model, "--context", "24", "--json"} + options);
  CAPTURE(options, outcome.errors);
  REQUIRE(outcome.exit_code == 0);
  return {json::parse(outcome.output), outcome.errors};
}

}  // namespace

TEST_CASE("without data evaluate scores what the run kept for validation, as its end did") {
  const Workplace place;
  const std::string model = place.model();
  const auto [scores, notes] = evaluate(model, {});
  CHECK(contains(notes, "last tenths of the data of the run", "400 B in 1 file"));
  CHECK(scores["tokens"] == 399);  // the first of the last tenth is only read
  CHECK(scores["bytes"] == 399);
  const std::string log = read_bytes(model + "/train.jsonl");
  const json end = json::parse(log.substr(log.rfind("{\"event\":\"end\"")));
  CHECK(scores["loss"] == end["validation_loss"]);
  CHECK(scores["bits_per_byte"] == end["bits_per_byte"]);
  const auto [last_tenth, other_notes] = evaluate(model, {"--data", place.text, "--last-tenth"});
  CHECK(last_tenth == scores);
  CHECK_FALSE(contains(other_notes, "note:"));

  check_refused(place.folder, {"evaluate", "--model", model, "--last-tenth"}, 2, {"--last-tenth", "--data"});
  fs::rename(place.text, place.folder / "moved.txt");
  check_refused(place.folder, {"evaluate", "--model", model}, 1, {place.text, "no such file"});
  fs::remove(model + "/train.checkpoint");
  check_refused(place.folder, {"evaluate", "--model", model}, 1, {model, "train.checkpoint", "--data", "neither"});
}

TEST_CASE("a text that is given is scored whole") {
  const Workplace place;
  const std::string model = place.model(), other = place.folder.write("other.txt", sample_text(3000).substr(7));
  const auto [scores, notes] = evaluate(model, {"--data", other});
  CHECK(scores["tokens"] == 2992);
  CHECK(scores["bytes"] == 2992);
  CHECK(scores["loss_by_position"].size() == 24);
  CHECK_FALSE(contains(notes, "note:"));
  const Scores both = evaluate(model, {"--data", place.text, other});
  CHECK(both.result["tokens"] == 2992 + 3999);
  CHECK(contains(both.notes, "note: the model was trained on nine tenths of " + place.text + ";", "--last-tenth"));
  CHECK(contains(evaluate(model, {"--data", place.folder.path(), "--windows", "5"}).notes,
                 "note: the model was trained on nine tenths of " + place.text + ";"));
}

TEST_CASE("short files are scored as what they are, and those with nothing to predict are named") {
  const Workplace place;
  const std::string model = place.model();
  fs::create_directories(place.folder / "short");
  const auto file = [&](const std::string& name, std::size_t size) {
    return place.folder.write("short/" + name, sample_text(size)).string();
  };
  const std::string ten = file("ten.txt", 10), two = file("two.txt", 2);
  const auto [scores, notes] = evaluate(model, {"--data", ten});
  CHECK(scores["tokens"] == 9);
  CHECK(scores["loss_by_position"].size() == 9);
  CHECK(evaluate(model, {"--data", two}).result["tokens"] == 1);
  CHECK(evaluate(model, {"--data", two, ten}).result["tokens"] == 10);

  const std::string one = file("one.txt", 1);
  const Arguments parts{one, "too short", "one to read and one to predict", "found 1"};
  check_refused(place.folder, {"evaluate", "--model", model, "--data", one}, 1, parts);
  check_refused(place.folder, {"evaluate", "--model", model, "--data", ten, one, two}, 1, parts);
  const Scores folder = evaluate(model, {"--data", place.folder / "short"});
  CHECK(folder.result["tokens"] == 10);
  CHECK(contains(folder.notes, "skipped 1", one, "too short", "found 1 (1 bytes)"));
  check_refused(place.folder, {"evaluate", "--model", model, "--data", ten, "--last-tenth"}, 1,
                {ten, "too short", "the last tenth of 10 bytes"});
}

TEST_CASE("training says which files it cannot use, or not validate on") {
  const Workplace place;
  fs::create_directories(place.folder / "texts");
  const std::string text = place.folder.write("texts/text.txt", sample_text(4000)),
                    brief = place.folder.write("texts/brief.txt", sample_text(10)),
                    briefer = place.folder.write("texts/briefer.txt", sample_text(3));
  const auto notes_of = [&](const Arguments& data, const std::string& context) {
    const Outcome outcome =
        run(Arguments{"train", "--width", "16", "--depth", "1", "--heads", "2", "--steps", "1", "--batch", "2",
                      "--context", context, "--threads", "1", "--force", "--out", place.folder / "model", "--data"} +
            data);
    CAPTURE(outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    return outcome.errors;
  };
  CHECK(contains(notes_of({place.folder / "texts"}, "24"), "1 file; skipped 2, such as " + brief, "expected 25 bytes"));
  CHECK(
      contains(notes_of({text, brief}, "4"), "2 files; not validated 1, such as " + brief, "last tenth, of 10 bytes"));
  CHECK_FALSE(contains(notes_of({text, text}, "4"), "not validated"));
  Arguments arguments = place.tiny("other");
  check_refused(place.folder, arguments + Arguments{"--data", brief}, 1,
                {brief, "too short", "expected 25", "found 9"});
  check_refused(place.folder, {"train-tokenizer", "--data", briefer, "--out", place.folder / "tokenizer.json"}, 1,
                {briefer, "a last tenth of at least two tokens"});
}
