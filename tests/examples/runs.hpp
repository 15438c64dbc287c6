// SPDX-License-Identifier: MIT
/// @file
/// Trainings that are stopped at a certain update, and what they logged.
#pragma once

#include <poll.h>

#include <atomic>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "examples/ttt_lm.hpp"
#include "examples/workplace.hpp"
#include "support/catch.hpp"
#include "support/stored_tensors.hpp"

namespace ttt::testing {

using nlohmann::json;

using Options = std::map<std::string, Arguments>;

inline Arguments words(const Options& options) {
  Arguments result{"train"};
  for (const auto& [name, values] : options) {
    result.push_back(name);
    result.insert(result.end(), values.begin(), values.end());
  }
  return result;
}

/// Arguments of a shell that does something and then becomes the program.
inline Arguments in_shell(const std::string& shell, const Arguments& arguments) {
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
inline Outcome stop(const Arguments& arguments, int signal = SIGINT) {
  Watched watched(arguments);
  watched.after_fifth_step().send(signal);
  return watched.wait();
}

/// What a run logged, but for times and the checkpoints, of which a stop makes one more.
inline std::vector<json> events(const fs::path& folder) {
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

inline constexpr int steps = 60;

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

inline void check_same(const Place& place, const std::string& found, const std::string& expected) {
  CHECK(events(place.folder / found) == events(place.folder / expected));
  CHECK(Tensors(place.folder / found).all == Tensors(place.folder / expected).all);
}

}  // namespace ttt::testing
