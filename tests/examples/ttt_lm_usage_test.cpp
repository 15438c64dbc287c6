// SPDX-License-Identifier: MIT
// What people type: misspelt words, prompts from pipes, names in any bytes, models as they are downloaded.
#include <fcntl.h>

#include <cstdlib>
#include <nlohmann/json.hpp>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"
#include "ttt/io/utf8.hpp"

using namespace ttt::testing;
using ttt::testing::operator+;
using nlohmann::json;

namespace {

Outcome run_with_input(const Arguments& arguments, const std::string& text) {
  const TemporaryFolder folder;
  return Program(emulator, program, arguments, {}, folder.write("input", text)).wait();
}

/// The bytes that a text of the program's JSON stands for.
std::string text_of(const json& object, const std::string& key) {
  return ttt::io::utf8_unescaped(object.at(key).get<std::string>());
}

}  // namespace

TEST_CASE("every wrong command line has one form, exit code 2 and the help to look at") {
  const Workplace place;
  const auto refused = [&](const Arguments& arguments, const Arguments& parts, const std::string& help) {
    check_refused(place.folder, arguments, 2, parts + Arguments{" (see " + help + " --help)\n"});
  };
  refused({}, {}, "ttt-lm");
  refused({"evalute"}, {"'evalute' is no command, did you mean 'evaluate'?"}, "ttt-lm");
  refused({"gen"}, {"did you mean 'generate'?"}, "ttt-lm");
  refused({"--verison"}, {"'--verison' is no option, did you mean '--version'?"}, "ttt-lm");
  // The parser, the program's own checks, and those of values say it alike.
  refused(place.tiny("m") + Arguments{"--learning", "3"}, {"'--learning' is no option ("}, "ttt-lm train");
  refused({"generate", "--modle", "m"}, {"'--modle' is no option, did you mean '--model'?"}, "ttt-lm generate");
  refused({"generate", "m", "--temp=3"}, {"'--temp' is no option, did you mean '--temperature'?"}, "ttt-lm generate");
  refused({"generate", "m", "--tokesn", "5"}, {"'--tokesn' is no option, did you mean '--tokens'?"}, "ttt-lm generate");
  refused({"info", "m", "n"}, {"'n' was not expected"}, "ttt-lm info");
  refused({"train"}, {"--out"}, "ttt-lm train");
  refused(place.tiny("m") + Arguments{"--window", "8"}, {"--window"}, "ttt-lm train");
  refused(place.tiny("m") + Arguments{"--lr-factor", "x"}, {"--lr-factor"}, "ttt-lm train");
  refused({"compare", "--layers", "ttt-mlp,ttt-mlp", "--out", "m"}, {"--layers"}, "ttt-lm compare");
}

TEST_CASE("words that are far from every known one are not guessed at") {
  const Outcome outcome = run({"xyzzy"});
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.errors == "ttt-lm: 'xyzzy' is no command (see ttt-lm --help)\n");
}

TEST_CASE("too many threads are refused with the limit and its reason") {
  const Workplace place;
  for (const std::string threads : {"1025", "100000"})
    check_refused(place.folder, {"info", "m", "--threads", threads}, 2,
                  {"--threads", "at most 1024", "as many as a thread pool has workers", "found " + threads});
  for (const std::string threads : {"0", "-3"})
    check_refused(place.folder, {"info", "m", "--threads", threads}, 2,
                  {"--threads", "at least 1", "found " + threads});
}

TEST_CASE("a prompt comes from an option, a file, a pipe or standard input, and is the same") {
  const Workplace place;
  const std::string model = place.model(), prompt = "line 4 of\n";
  const Arguments call{"generate", "--model", model, "--tokens", "8", "--temperature", "0", "--quiet"};
  const std::string expected = run(call + Arguments{"--prompt", prompt}).output;
  CHECK(expected.size() == prompt.size() + 8);
  CHECK(run_with_input(call, prompt).output == expected);
  CHECK(run_with_input(call + Arguments{"--prompt", "-"}, prompt).output == expected);
  CHECK(run_with_input(call + Arguments{"--prompt-file", "-"}, prompt).output == expected);
  CHECK(run(call + Arguments{"--prompt-file", place.folder.write("start.txt", prompt)}).output == expected);
  // What an option says comes before what is piped in.
  CHECK(run_with_input(call + Arguments{"--prompt", prompt}, "other").output == expected);

  const auto piped_to = [&](const Arguments& options) {
    const std::string command = "printf 'line 4 of\\n' | " + emulator + " \"$0\" \"$@\"";
    return Program({}, "/bin/sh", Arguments{"-c", command, program} + call + options).wait().output;
  };
  CHECK(piped_to({}) == expected);
  CHECK(piped_to({"--prompt-file", "/dev/stdin"}) == expected);

  check_refused(place.folder, call + Arguments{"--prompt-file", place.folder.path()}, 1, {"cannot read", "directory"});
  check_refused(place.folder, call + Arguments{"--prompt", "-"}, 1, {"standard input", "an empty prompt"});
}

TEST_CASE("without a prompt, at a terminal, the prompt is missed and nothing waited for") {
  const int terminal = ::posix_openpt(O_RDWR | O_NOCTTY);
  if (terminal < 0 || ::grantpt(terminal) != 0 || ::unlockpt(terminal) != 0) return;
  const Outcome outcome = Program(emulator, program, {"generate", "--model", "m"}, {}, ::ptsname(terminal)).wait();
  CHECK(outcome.exit_code == 2);
  CHECK(outcome.errors ==
        "ttt-lm: a prompt is missing: expected --prompt, --prompt-file, --prompt-ids or a pipe "
        "(see ttt-lm generate --help)\n");
  ::close(terminal);
}

TEST_CASE("prompts and names that are no UTF-8 arrive whole, and JSON has every byte of them") {
  const Workplace place;
  const std::string odd = "b\xff", model = place.folder / (odd + "model");
  fs::rename(place.model(), model);
  const auto json_of = [](const Arguments& arguments) {
    const Outcome outcome = run(arguments + Arguments{"--json"});
    CAPTURE(arguments, outcome.errors);
    REQUIRE(outcome.exit_code == 0);
    return json::parse(outcome.output);
  };
  const auto generated = json_of({"generate", "--model", model, "--prompt", "a\xff\xc3", "--tokens", "4"});
  CHECK(text_of(generated, "prompt") == "a\xff\xc3");
  CHECK(generated["prompt"] == "a\\xff\\xc3");
  CHECK(generated["prompt_ids"] == json{97, 255, 195});
  CHECK(text_of(generated, "text").size() == 4);
  CHECK(json_of({"generate", "--model", model, "--prompt", "aé"})["prompt"] == "aé");
  CHECK(text_of(json_of({"info", model, "--context", "8"}), "model") == model);
  const std::string converted = place.folder / (odd + "converted");
  const auto conversion = json_of({"convert", model, "--out", converted});
  CHECK(text_of(conversion, "from") == model);
  CHECK(text_of(conversion, "model") == converted);

  const std::string ids = place.folder / (odd + "ids.safetensors"), out = place.folder / (odd + "logits.safetensors");
  write_ids(ids, {1, 3}, {1, 2, 3});
  CHECK(text_of(json_of({"logits", model, "--ids", ids, "--out", out}), "logits") == out);
  CHECK(json_of({"verify", model})["problems"] == 0);
  // A problem holds the name of its file.
  Tensors tensors(converted);
  tensors.all.erase("model.norm.weight");
  tensors.write(converted);
  const Outcome outcome = run({"verify", converted, "--json"});
  CHECK(outcome.exit_code == 1);
  const json verified = json::parse(outcome.output);
  bool is_named = false;
  for (const auto& tensor : verified["tensors"])
    is_named = is_named || contains(text_of(tensor, "problem"), converted, "model.norm.weight");
  CHECK(is_named);
}

TEST_CASE("a model as the cache of Hugging Face keeps it is a model, and one that did not arrive is called that") {
  const Workplace place;
  const std::string model = place.model();
  REQUIRE(run({"convert", model, "--shard-size", "4000", "--out", place.folder / "parts", "--quiet"}).exit_code == 0);
  const fs::path snapshot = place.folder / "hub/snapshots/0123abcd";
  fs::create_directories(snapshot);
  fs::create_directories(place.folder / "hub/blobs");
  int blobs = 0;
  std::string first_part;
  for (const auto& entry : fs::directory_iterator(place.folder / "parts")) {
    const std::string blob = std::to_string(blobs++), name = entry.path().filename();
    fs::copy_file(entry.path(), place.folder / ("hub/blobs/" + blob));
    fs::create_symlink("../../blobs/" + blob, snapshot / name);
    if (name.starts_with("model-00001-of-")) first_part = name;
  }
  REQUIRE(blobs > 3);
  const Arguments call{"generate", "--prompt", "line", "--tokens", "8", "--temperature", "0", "--quiet", "--model"};
  CHECK(run(call + Arguments{snapshot}).output == run(call + Arguments{model}).output);
  CHECK(run({"verify", snapshot}).exit_code == 0);

  const std::string part = read_bytes(snapshot / first_part);
  const auto refused = [&](const std::string& name, const std::string& bytes, const Arguments& parts) {
    const std::string whole = read_bytes(snapshot / name);
    place.folder.write("hub/snapshots/0123abcd/" + name, bytes);
    check_refused(place.folder, call + Arguments{snapshot}, 1, parts + Arguments{name + ": expected"});
    place.folder.write("hub/snapshots/0123abcd/" + name, whole);
  };
  refused(first_part, part.substr(0, part.size() - 100),
          {std::to_string(part.size()) + " bytes", "found " + std::to_string(part.size() - 100), "truncated"});
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n";
  refused(first_part, pointer, {"Git LFS pointer", "'git lfs pull'"});
  refused("config.json", pointer, {"Git LFS pointer", "'git lfs pull'"});
}

TEST_CASE("a parameter of a type that nobody reads is named with it, by what loads and by what verifies") {
  const Workplace place;
  const std::string model = place.model();
  std::string bytes = read_bytes(model + "/model.safetensors");
  const std::string member = "\"model.norm.weight\":{\"dtype\":\"F32\"";
  REQUIRE(contains(bytes, member));
  bytes.replace(bytes.find(member) + member.size() - 4, 3, "Q4K");
  place.folder.write("model/model.safetensors", bytes);
  const Arguments parts{"model.safetensors, tensor 'model.norm.weight'", "F64, F32, F16 or BF16", "found Q4K"};
  check_refused(place.folder, {"info", model}, 1, parts);
  check_refused(place.folder, {"convert", model, "--out", place.folder / "converted"}, 1, parts);
  const Outcome outcome = run({"verify", model});
  CHECK(outcome.exit_code == 1);
  CHECK(contains(outcome.output, "values", "'model.norm.weight'", "found Q4K", "1 with a problem"));
}
