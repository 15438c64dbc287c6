// SPDX-License-Identifier: MIT
#include "data.hpp"

#include <algorithm>

#include "run_configuration.hpp"

namespace ttt_lm {

namespace {

using ttt::training::Corpus;
using ttt::training::Split;

std::vector<std::filesystem::path> path_list(const std::vector<std::string>& paths) {
  return {paths.begin(), paths.end()};
}

std::vector<std::string> absolute_paths(const std::vector<std::string>& given) {
  std::vector<std::string> paths;
  for (const auto& path : given) paths.push_back(std::filesystem::absolute(path).lexically_normal().string());
  return paths;
}

std::string file_count(std::size_t count) { return std::to_string(count) + (count == 1 ? " file" : " files"); }

/// "; skipped 3, such as a.bin: the file is binary".
std::string skipped_text(const std::string& verb, const std::vector<ttt::training::SkippedFile>& skipped) {
  if (skipped.empty()) return {};
  return "; " + verb + " " + std::to_string(skipped.size()) + ", such as " + skipped.front().name + ": " +
         skipped.front().reason;
}

/// Files whose last tenth has nothing to predict.
std::vector<ttt::training::SkippedFile> not_validated(const Corpus& corpus) {
  std::vector<bool> has_window(corpus.documents().size());
  for (const auto& window : corpus.validation_windows()) has_window[static_cast<std::size_t>(window.document)] = true;
  std::vector<ttt::training::SkippedFile> result;
  for (std::size_t i = 0; i < has_window.size(); ++i) {
    const auto& document = corpus.documents()[i];
    if (!has_window[i])
      result.push_back({document.name, "its last tenth, of " + std::to_string(document.text.size()) +
                                           " bytes, has no two tokens, one to read and one to predict"});
  }
  return result;
}

/// Paths of the text that the run in a model folder began with; none when no run is there.
std::vector<std::string> run_data(const std::string& model) {
  const std::filesystem::path checkpoint = std::filesystem::path(model) / checkpoint_name;
  std::error_code ignored;  // what is there and cannot be read is reported when it is opened
  if (!std::filesystem::exists(checkpoint, ignored)) return {};
  TrainOptions options;
  CommonOptions common;
  restore_configuration(checkpoint, {}, options, common);
  return options.data;
}

/// Whether `path` is one of `folders_and_files`, or below one.
bool is_within(const std::string& path, const std::vector<std::string>& folders_and_files) {
  return std::any_of(folders_and_files.begin(), folders_and_files.end(),
                     [&](const std::string& other) { return path == other || path.starts_with(other + "/"); });
}

}  // namespace

std::vector<std::string> data_paths(const std::vector<std::string>& given) {
  if (given.empty()) return {TTT_DEFAULT_DATA_EIGEN, TTT_DEFAULT_DATA_XSIMD};
  return absolute_paths(given);
}

Corpus load_corpus(const std::vector<std::string>& paths, ttt::Index context, Terminal& terminal,
                   ttt::training::TextEncoding encoding) {
  auto corpus = Corpus::load(path_list(paths), context, std::move(encoding));
  const auto unused = not_validated(corpus);
  if (unused.size() == corpus.documents().size())
    ttt::throw_unexpected(unused.front().name, "a last tenth of at least two tokens, for validation",
                          std::to_string(corpus.validation_bytes()) + " bytes in all");
  terminal.message("data: " + bytes_text(static_cast<double>(corpus.training_bytes())) + " for training, " +
                   bytes_text(static_cast<double>(corpus.validation_bytes())) + " for validation, " +
                   file_count(corpus.documents().size()) + skipped_text("skipped", corpus.skipped()) +
                   skipped_text("not validated", unused));
  return corpus;
}

Corpus load_evaluation_corpus(const EvaluateOptions& options, Terminal& terminal,
                              ttt::training::TextEncoding encoding) {
  const auto known = run_data(options.model), paths = options.data.empty() ? known : absolute_paths(options.data);
  if (paths.empty())
    ttt::throw_unexpected(
        options.model,
        std::string(checkpoint_name) + ", which tells the data of its run, or --data with a text to score", "neither");
  const Split split = options.data.empty() || options.last_tenth ? Split::validation : Split::whole;
  auto corpus = Corpus::load(path_list(paths), options.context, std::move(encoding), split);
  const std::string part = split == Split::whole ? ""
                           : paths == known      ? "last tenths of the data of the run, "
                                                 : "last tenths, ";
  terminal.message("data: " + part + bytes_text(static_cast<double>(corpus.validation_bytes())) + " in " +
                   file_count(corpus.documents().size()) + skipped_text("skipped", corpus.skipped()));
  const auto learnt = [&](const auto& document) { return is_within(document.name, known); };
  const auto& documents = corpus.documents();
  const auto first = std::find_if(documents.begin(), documents.end(), learnt);
  if (split == Split::whole && first != documents.end())
    terminal.message("note: the model was trained on nine tenths of " + first->name +
                     (std::find_if(first + 1, documents.end(), learnt) == documents.end() ? "" : " and others") +
                     "; --last-tenth scores the rest alone");
  return corpus;
}

std::vector<ttt::training::Window> validation_windows(const Corpus& corpus, ttt::Index count) {
  const auto all = corpus.validation_windows();
  const auto wanted = static_cast<std::size_t>(count);
  if (count <= 0 || wanted >= all.size()) return all;
  std::vector<ttt::training::Window> chosen;
  for (std::size_t i = 0; i < wanted; ++i) chosen.push_back(all[(2 * i + 1) * all.size() / (2 * wanted)]);
  return chosen;
}

}  // namespace ttt_lm
