// SPDX-License-Identifier: MIT
#include "ttt/training/checkpoint.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <limits>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/core/random.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

/// Something to save: every value follows from `version`.
struct Run {
  std::int64_t step = 0;
  std::vector<float> weights;
  std::vector<double> sums;
  std::vector<CheckpointSetting> settings{{"configuration", "{\"width\": 3}"}, {"seed", "1"}};

  explicit Run(std::int64_t version = 0, std::size_t size = 6) : step(version), weights(size), sums(2) { set(version); }
  void set(std::int64_t version) {
    step = version;
    std::fill(weights.begin(), weights.end(), static_cast<float>(version));
    std::fill(sums.begin(), sums.end(), static_cast<double>(version) / 3);
  }
  std::vector<CheckpointArray> arrays() {
    const auto columns = static_cast<Index>(weights.size() / 2);
    return {array_of("step", &step, Shape{1}, 1),
            array_of("weights", weights.data(), Shape{2, columns}, static_cast<Index>(weights.size())),
            array_of("sums", sums.data(), Shape{2}, 2)};
  }
  void save(const std::filesystem::path& path) { save_checkpoint(path, settings, arrays()); }
  void load(const std::filesystem::path& path) { load_checkpoint(path, settings, arrays()); }
  friend bool operator==(const Run&, const Run&) = default;
};

[[noreturn]] void save_for_ever(const std::filesystem::path& path, std::int64_t version, std::size_t size) {
  try {
    for (Run run(version, size);; run.save(path)) run.set(++version);
  } catch (...) {
    _exit(1);
  }
}

}  // namespace

TEST_CASE("What was saved is loaded, bit for bit") {
  const TemporaryFolder folder;
  Run saved(7), loaded(0);
  saved.weights[1] = std::numeric_limits<float>::quiet_NaN();
  saved.weights[2] = -0.0F;
  saved.save(folder / "run");
  loaded.load(folder / "run");
  CHECK(loaded.step == 7);
  CHECK(loaded.sums == saved.sums);
  CHECK(std::equal(saved.arrays()[1].bytes.begin(), saved.arrays()[1].bytes.end(), loaded.arrays()[1].bytes.begin()));
  CHECK(read_checkpoint_settings(folder / "run") == saved.settings);
  saved.set(8);
  saved.save(folder / "run");
  loaded.load(folder / "run");
  CHECK(loaded == saved);
}

TEST_CASE("A text of a number reads back as the same number") {
  for (const double value : {0.1, 3e-3, 1.0 / 3, 1e300, 5e-324, 0.0})
    CHECK(std::strtod(exact_text(value).c_str(), nullptr) == value);
}

TEST_CASE("Every truncation, extension and flipped bit is an error that changes nothing") {
  const TemporaryFolder folder;
  Run(7).save(folder / "run");
  const std::string whole = read_bytes(folder / "run");
  Run loaded(3);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto path = folder.write("broken", whole.substr(0, size));
    REQUIRE(error_lacks([&] { loaded.load(path); }, {path.string()}) == "");
  }
  const auto longer = folder.write("longer", whole + "x");
  CHECK(
      error_lacks([&] { loaded.load(longer); }, {longer.string(), "expected " + std::to_string(whole.size()) + " bytes",
                                                 "found " + std::to_string(whole.size() + 1)}) == "");
  for (std::size_t bit = 0; bit < 8 * whole.size(); ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto path = folder.write("broken", flipped);
    REQUIRE(error_lacks([&] { loaded.load(path); }, {path.string()}) == "");
  }
  CHECK(loaded == Run(3));
}

TEST_CASE("Damage is told apart") {
  const TemporaryFolder folder;
  Run run(7);
  run.save(folder / "run");
  std::string whole = read_bytes(folder / "run");
  const auto cut = folder.write("cut", whole.substr(0, whole.size() - 10));
  CHECK(error_lacks([&] { run.load(cut); }, {"expected " + std::to_string(whole.size()) + " bytes"}) == "");
  whole[whole.size() / 2] = static_cast<char>(whole[whole.size() / 2] ^ 1);
  const auto flipped = folder.write("flipped", whole);
  CHECK(error_lacks([&] { run.load(flipped); }, {"checksum"}) == "");
  const auto text = folder.write("text", "This is no checkpoint, but long enough to be one.");
  CHECK(error_lacks([&] { run.load(text); }, {"expected a training checkpoint", "another kind of file"}) == "");
  CHECK(error_lacks([&] { run.load(folder / "absent"); }, {"absent"}) == "");
}

TEST_CASE("Another configuration is an error that names what was expected and what was found") {
  const TemporaryFolder folder;
  Run(7).save(folder / "run");
  Run loaded(3);
  const auto before = loaded;
  SECTION("value of a setting") {
    loaded.settings[0].value = "{\"width\": 4}";
    CHECK(error_lacks([&] { loaded.load(folder / "run"); },
                      {"'configuration'", "expected {\"width\": 4}", "found {\"width\": 3}"}) == "");
  }
  SECTION("name of a setting") {
    loaded.settings[1].name = "sead";
    CHECK(error_lacks([&] { loaded.load(folder / "run"); }, {"expected setting 'sead'", "found 'seed'"}) == "");
  }
  SECTION("one setting more") {
    loaded.settings.push_back({"extra", "1"});
    CHECK(error_lacks([&] { loaded.load(folder / "run"); }, {"expected setting 'extra'", "none"}) == "");
  }
  SECTION("one setting less") {
    loaded.settings.pop_back();
    CHECK(error_lacks([&] { loaded.load(folder / "run"); }, {"no further setting", "'seed'"}) == "");
  }
  SECTION("shape of an array") {
    auto arrays = loaded.arrays();
    arrays[1] = array_of("weights", loaded.weights.data(), Shape{3, 2}, 6);
    CHECK(error_lacks([&] { load_checkpoint(folder / "run", loaded.settings, arrays); },
                      {"'weights'", "expected float32 [3 x 2]", "found float32 [2 x 3]"}) == "");
  }
  SECTION("storage of an array") {
    auto arrays = loaded.arrays();
    arrays[1] = array_of("weights", loaded.weights.data(), Shape{2, 3}, 5);
    CHECK(error_lacks([&] { load_checkpoint(folder / "run", loaded.settings, arrays); },
                      {"'weights'", "in 20 bytes", "in 24 bytes"}) == "");
  }
  SECTION("scalar of an array") {
    auto arrays = loaded.arrays();
    std::vector<float> floats(4);
    arrays[2] = array_of("sums", floats.data(), Shape{2}, 4);
    CHECK(error_lacks([&] { load_checkpoint(folder / "run", loaded.settings, arrays); },
                      {"'sums'", "expected float32", "found float64"}) == "");
  }
  SECTION("names of arrays") {
    auto arrays = loaded.arrays();
    arrays[1].name = "weight";
    CHECK(error_lacks([&] { load_checkpoint(folder / "run", loaded.settings, arrays); },
                      {"expected array 'weight'", "found 'weights'"}) == "");
  }
  SECTION("a count beyond what it may be, and one below zero") {
    auto arrays = loaded.arrays();
    arrays[0].largest = 6;
    CHECK(error_lacks([&] { load_checkpoint(folder / "run", loaded.settings, arrays); },
                      {"array 'step'", "expected counts from 0 to 6", "found 7"}) == "");
    Run negative(7);
    negative.step = -3;
    negative.save(folder / "negative");
    CHECK(error_lacks([&] { load_checkpoint(folder / "negative", loaded.settings, arrays); },
                      {"array 'step'", "found -3"}) == "");
    arrays[0].largest = 7;
    load_checkpoint(folder / "run", loaded.settings, arrays);
    CHECK(loaded.step == 7);
    loaded = before;
  }
  CHECK(loaded.weights == before.weights);
  CHECK(loaded.step == before.step);
}

TEST_CASE("A file that cannot be written is an error and leaves nothing behind") {
  const TemporaryFolder folder;
  Run run(7);
  CHECK(error_lacks([&] { run.save(folder / "absent/run"); }, {"absent/run"}) == "");
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("A kill at any moment leaves the old checkpoint or the new one, whole") {
  const TemporaryFolder folder;
  const std::size_t size = 200000;
  Run(0, size).save(folder / "run");
  const RandomStream random(11, "delay");
  std::int64_t newest = 0;
  double longest = 25000;  // microseconds; more where that is too short for a single save
  for (std::uint64_t kill = 0; kill < 25; ++kill) {
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) save_for_ever(folder / "run", newest, size);
    usleep(static_cast<useconds_t>(1000 + longest * random.uniform(kill)));
    ::kill(child, SIGKILL);
    int status = 0;
    REQUIRE(waitpid(child, &status, 0) == child);
    REQUIRE(WIFSIGNALED(status));
    Run loaded(-1, size);
    loaded.load(folder / "run");
    REQUIRE(loaded.step >= newest);
    REQUIRE(loaded == Run(loaded.step, size));
    if (loaded.step == newest) longest = std::min(2 * longest, 9e5);
    newest = loaded.step;
  }
  CHECK(newest > 0);
}
