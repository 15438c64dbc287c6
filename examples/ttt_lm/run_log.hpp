// SPDX-License-Identifier: MIT
#pragma once

#include <filesystem>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "training_run.hpp"
#include "ttt/io/atomic_file.hpp"

namespace ttt_lm {

/// What happened in a run, one JSON object a line: in a file always, on stdout when asked for.
class RunLog {
 public:
  RunLog(std::filesystem::path path, bool on_stdout) : path_(std::move(path)), on_stdout_(on_stdout) {}

  /// The line that says how the run ended after `step` updates; empty when it says nothing of it.
  std::string end(std::int64_t step) const;
  /// Forgets what a stopped run logged after its checkpoint, which is where `record` stands, or everything.
  void start(const RunRecord& record);
  /// Throws ttt::Error when the file cannot be written. When stdout cannot, the run is asked to stop instead, so that
  /// it is saved, and `check_output` throws.
  void write(const nlohmann::ordered_json& event);
  void check_output() const;

 private:
  std::filesystem::path path_;
  bool on_stdout_;
  std::string output_problem_;
  std::unique_ptr<ttt::io::OutputFile> file_;
};

}  // namespace ttt_lm
