// SPDX-License-Identifier: MIT
// What may come between a run and its end: another one in its folder, signals, a full disk, names that are no UTF-8.
#include <set>

#include "examples/runs.hpp"
#include "examples/ttt_lm.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;

TEST_CASE("names that are no UTF-8 train, stop, go on, and stand in the log so that they can be told") {
  const Place place;
  const std::string name = "b\xff \\x41.txt", out = "run\xfe";
  place.folder.write(name, sample_text(4000));
  const Options options{{"--data", {place.folder / name}}};
  REQUIRE(run(words(place.tiny("whole"))).exit_code == 0);
  REQUIRE(stop(words(place.tiny(out, options))).exit_code == 130);
  const Arguments resume{"train", "--resume", "--quiet", "--out", place.folder / out};
  check_refused(place.folder, resume + Arguments{"--freeze", "\xff*"}, 1, {"--freeze", "found [\"\\\\xff*\"]"});
  REQUIRE(run(resume).exit_code == 0);
  check_same(place, out, "whole");
  const std::string log = read_bytes(place.folder / out / "train.jsonl");
  CHECK(json::parse(log.substr(log.rfind("{\"event\":\"end\"")))["model"] == (place.folder / "run").string() + "\\xfe");
  for (const Arguments& command :
       {Arguments{"info", place.folder / out}, Arguments{"verify", place.folder / out},
        Arguments{"evaluate", place.folder / out, "--data", place.folder / name, "--context", "24"},
        Arguments{"convert", place.folder / out, "--out", place.folder / "copy\xfd"}}) {
    const Outcome outcome = run(command + Arguments{"--json"});
    CAPTURE(command.front(), outcome.errors);
    CHECK(outcome.exit_code == 0);
    CHECK(json::accept(outcome.output));
  }
}

TEST_CASE("one run at a time works in a folder, and a killed one is in nobody's way") {
  const Place place;
  const std::string out = place.folder / "run";
  {
    Watched watched(words(place.tiny("run", {{"--save-every", {"1"}}})));
    const Program& first = watched.after_fifth_step();
    const Arguments parts{"train.lock", "held by process " + std::to_string(first.process()), "since 20"};
    for (const Arguments& second : {Arguments{"train", "--resume", "--out", out}, words(place.tiny("run")),
                                    words(place.tiny("run", {{"--force", {}}})),
                                    Arguments{"compare", "--data", place.text, "--out", out, "--steps", "1"}}) {
      const Outcome outcome = run(second);
      CAPTURE(outcome.errors);
      CHECK(outcome.exit_code == 1);
      for (const auto& part : parts) CHECK(contains(outcome.errors, part));
    }
    first.send(SIGKILL);
    watched.wait();
  }
  place.folder.write("run/model.safetensors.tmp-1-0", "what a killed run left");
  REQUIRE(run(words(place.tiny("whole"))).exit_code == 0);
  REQUIRE(run({"train", "--resume", "--out", out}).exit_code == 0);
  check_same(place, "run", "whole");
  std::set<std::string> names;
  for (const auto& entry : fs::directory_iterator(out)) names.insert(entry.path().filename());
  CHECK(names == std::set<std::string>{"config.json", "model.safetensors", "train.checkpoint", "train.jsonl"});
}

TEST_CASE("a hang-up saves as an interrupt does, however often it comes; nohup keeps it away") {
  const Place place;
  const std::string out = place.folder / "run";
  REQUIRE(run(words(place.tiny("whole"))).exit_code == 0);
  {
    Watched watched(words(place.tiny("run")));
    const Program& program = watched.after_fifth_step();
    program.send(SIGHUP);
    program.send(SIGHUP);
    const Outcome outcome = watched.wait();
    CHECK(outcome.exit_code == 130);
    CHECK(contains(outcome.errors, "and saved"));
  }
  REQUIRE(run({"train", "--resume", "--out", out}).exit_code == 0);
  check_same(place, "run", "whole");
  {
    Watched watched(words(place.tiny("nohup")), "trap '' HUP");
    watched.after_fifth_step().send(SIGHUP);
    CHECK(watched.wait().exit_code == 0);
  }
  check_same(place, "nohup", "whole");
}

TEST_CASE("a disk or an output that takes no more says why, and what was done before is there") {
  const Place place;
  const std::string out = place.folder / "run";
  const Outcome full = Program("", "/bin/sh", in_shell("trap '' XFSZ; ulimit -f 4", words(place.tiny("small")))).wait();
  CHECK(full.exit_code == 1);
  CHECK(contains(full.errors, (place.folder / "small").string(), "cannot write: File too large"));

  REQUIRE(run(words(place.tiny("whole"))).exit_code == 0);
  const Outcome deaf = Program(emulator, program, words(place.tiny("run")) + Arguments{"--json"}, "/dev/full").wait();
  CHECK(deaf.exit_code == 1);
  CHECK(contains(deaf.errors, "standard output: cannot write: No space left on device", "saved"));
  REQUIRE(run({"train", "--resume", "--out", out}).exit_code == 0);
  check_same(place, "run", "whole");
}
