// SPDX-License-Identifier: MIT
// Runs that are stopped and go on: with every option that `train` has, after every kind of stop, alone in their folder.
#include <poll.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <regex>
#include <set>
#include <thread>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

namespace {

using Options = std::map<std::string, Arguments>;

Arguments words(const Options& options) {
  Arguments result{"train"};
  for (const auto& [name, values] : options) {
    result.push_back(name);
    result.insert(result.end(), values.begin(), values.end());
  }
  return result;
}

/// Arguments of a shell that does something and then becomes the program.
Arguments in_shell(const std::string& shell, const Arguments& arguments) {
  return Arguments{"-c", shell + "; exec " + emulator + " \"$@\"", "sh", program} + arguments;
}

/// A program whose output is a pipe with room for a few lines: it cannot run far ahead of who reads them.
class Watched {
 public:
  /// `shell` is what a shell does before it becomes the program.
  explicit Watched(const Arguments& arguments, const std::string& shell = ":") {
    const fs::path path = folder_ / "pipe";
    REQUIRE(mkfifo(path.c_str(), 0600) == 0);
    pipe_ = open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);  // open for writing too, so that it has no end
    REQUIRE(fcntl(pipe_, F_SETPIPE_SZ, 4096) > 0);
    process_.emplace("", "/bin/sh", in_shell(shell, arguments + Arguments{"--json"}), path);
    reader_ = std::thread([this] { read(); });
  }
  Watched(const Watched&) = delete;
  Watched& operator=(const Watched&) = delete;
  ~Watched() {
    ends_ = true;
    reader_.join();
    close(pipe_);
  }

  /// Waits until the program says that its fifth update is done, and reads no further.
  const Program& after_fifth_step() {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::minutes(5);
    while (!stands_ && std::chrono::steady_clock::now() < deadline)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    return *process_;
  }
  /// Reads what remains and waits for the end.
  Outcome wait() {
    goes_on_ = true;
    return process_->wait();
  }

 private:
  void read() {
    std::string seen;
    std::array<char, 512> part;
    while (!ends_) {
      stands_ = stands_ || seen.find("\"step\":5,") != std::string::npos;
      pollfd waiting{pipe_, POLLIN, 0};
      if ((stands_ && !goes_on_) || poll(&waiting, 1, 20) < 1) {
        std::this_thread::sleep_for(std::chrono::microseconds(100));
        continue;
      }
      const ssize_t count = ::read(pipe_, part.data(), part.size());
      if (count > 0) seen.append(part.data(), static_cast<std::size_t>(count));
    }
  }

  TemporaryFolder folder_;
  int pipe_ = -1;
  std::optional<Program> process_;
  std::thread reader_;
  std::atomic<bool> stands_{false}, goes_on_{false}, ends_{false};
};

/// Ends the training with a signal soon after its fifth update.
Outcome stop(const Arguments& arguments, int signal = SIGINT) {
  Watched watched(arguments);
  watched.after_fifth_step().send(signal);
  return watched.wait();
}

/// What a run logged, but for times and the checkpoints, of which a stop makes one more.
std::vector<json> events(const fs::path& folder) {
  std::vector<json> list;
  std::istringstream lines(read_bytes(folder / "train.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    json event = json::parse(line);
    event.erase("seconds");
    event.erase("model");
    if (event["event"] != "checkpoint") list.push_back(event);
  }
  return list;
}

constexpr int steps = 60;

struct Place : Workplace {
  std::string other_text = folder.write("other.txt", sample_text(3000));

  /// A training that takes no time and validates, with `changed` options in place of its own.
  Options tiny(const std::string& out, const Options& changed = {}) const {
    Options all{{"--data", {text}},       {"--width", {"16"}},
                {"--depth", {"1"}},       {"--heads", {"2"}},
                {"--context", {"24"}},    {"--batch", {"2"}},
                {"--mini-batch", {"4"}},  {"--eval-windows", {"2"}},
                {"--threads", {"1"}},     {"--steps", {std::to_string(steps)}},
                {"--out", {folder / out}}};
    for (const auto& [name, values] : changed) all[name] = values;
    if (all.at("--steps").empty()) all.erase("--steps");
    const bool is_ttt = !all.contains("--layer") || all.at("--layer").front().starts_with("ttt-");
    if (!is_ttt) all.erase("--mini-batch");
    return all;
  }
};

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

void check_same(const Place& place, const std::string& found, const std::string& expected) {
  CHECK(events(place.folder / found) == events(place.folder / expected));
  CHECK(Tensors(place.folder / found).all == Tensors(place.folder / expected).all);
}

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
