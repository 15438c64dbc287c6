// SPDX-License-Identifier: MIT
#include "data.hpp"

namespace ttt_lm {

std::vector<std::string> data_paths(const std::vector<std::string>& given) {
  if (given.empty()) return {TTT_DEFAULT_DATA_EIGEN, TTT_DEFAULT_DATA_XSIMD};
  std::vector<std::string> paths;
  for (const auto& path : given) paths.push_back(std::filesystem::absolute(path).lexically_normal().string());
  return paths;
}

ttt::training::Corpus load_corpus(const std::vector<std::string>& paths, ttt::Index context, Terminal& terminal,
                                  ttt::training::TextEncoding encoding) {
  const std::vector<std::filesystem::path> list(paths.begin(), paths.end());
  const char* const unit = encoding.encode ? " tokens" : " bytes";
  auto corpus = ttt::training::Corpus::load(list, context, std::move(encoding));
  if (corpus.validation_windows().empty())
    ttt::throw_unexpected(paths.front(), "a last tenth of more than " + std::to_string(context) + unit + ", for validation",
                          std::to_string(corpus.validation_bytes()) + " bytes in all");
  std::string text = "data: " + bytes_text(static_cast<double>(corpus.training_bytes())) + " for training, " +
                     bytes_text(static_cast<double>(corpus.validation_bytes())) + " for validation, " +
                     std::to_string(corpus.documents().size()) +
                     (corpus.documents().size() == 1 ? " file" : " files");
  if (!corpus.skipped().empty()) {
    const auto& first = corpus.skipped().front();
    text += "; skipped " + std::to_string(corpus.skipped().size()) + ", such as " + first.name + ": " + first.reason;
  }
  terminal.message(text);
  return corpus;
}

std::vector<ttt::training::Window> validation_windows(const ttt::training::Corpus& corpus, ttt::Index count) {
  const auto all = corpus.validation_windows();
  const auto wanted = static_cast<std::size_t>(count);
  if (count <= 0 || wanted >= all.size()) return all;
  std::vector<ttt::training::Window> chosen;
  for (std::size_t i = 0; i < wanted; ++i) chosen.push_back(all[(2 * i + 1) * all.size() / (2 * wanted)]);
  return chosen;
}

}  // namespace ttt_lm
