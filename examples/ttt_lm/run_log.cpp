// SPDX-License-Identifier: MIT
#include "run_log.hpp"

#include <fstream>
#include <nlohmann/json.hpp>

#include "interrupt.hpp"
#include "json_text.hpp"

namespace ttt_lm {

namespace {

/// Whether a line tells of something that the checkpoint at `record` knows of.
bool is_known(const nlohmann::ordered_json& line, const RunRecord& record) {
  if (!line.is_object()) return false;  // cut off when the run was killed
  const auto step = line.value("step", record.step + 1);
  const bool comes_again = record.validation_due && step == record.step && line.value("event", "") == "validation";
  return step <= record.step && !comes_again;
}

}  // namespace

std::string RunLog::end(std::int64_t step) const {
  std::ifstream file(path_);
  std::string last;
  for (std::string line; std::getline(file, line);) last = line;
  const auto event = parse_json_text(last);
  return event.is_object() && event.value("event", "") == "end" && event.value("step", step + 1) == step ? last : "";
}

void RunLog::start(const RunRecord& record) {
  std::string kept;
  std::ifstream old(path_);
  for (std::string line; record.step > 0 && std::getline(old, line);)
    if (is_known(parse_json_text(line), record)) kept += line + "\n";
  ttt::io::write_file_atomically(path_, [&](ttt::io::OutputFile& file) { file.write(kept); });
  ttt::io::FileDescriptor descriptor(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC));
  if (!descriptor.is_open()) ttt::io::throw_system_error(path_, "open for writing");
  file_ = std::make_unique<ttt::io::OutputFile>(std::move(descriptor), path_);
}

void RunLog::write(const nlohmann::ordered_json& event) {
  const std::string line = json_text(event) + "\n";
  file_->write(line);
  file_->flush();
  if (!on_stdout_ || !output_problem_.empty()) return;
  try {
    write_output(line);
  } catch (const ttt::Error& error) {
    output_problem_ = error.what();
    interrupt();
  }
}

void RunLog::check_output() const {
  if (!output_problem_.empty()) throw ttt::Error(output_problem_ + "; the run stopped and is saved");
}

}  // namespace ttt_lm
