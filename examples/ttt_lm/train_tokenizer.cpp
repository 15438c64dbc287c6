// SPDX-License-Identifier: MIT
#include <chrono>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "data.hpp"
#include "json_text.hpp"
#include "tokenizer.hpp"
#include "ttt/io/atomic_file.hpp"
#include "ttt/io/bpe_training.hpp"

namespace ttt_lm {

namespace {

using Text = std::string_view (ttt::training::Corpus::*)(const ttt::training::Document&) const;

std::vector<std::string_view> texts_of(const ttt::training::Corpus& corpus, Text part) {
  std::vector<std::string_view> texts;
  for (const auto& document : corpus.documents()) texts.push_back((corpus.*part)(document));
  return texts;
}

/// How many bytes a token stands for, on text that the vocabulary was not made from.
double bytes_per_token(const ttt::io::Tokenizer& tokenizer, const std::vector<std::string_view>& texts) {
  std::size_t bytes = 0, tokens = 0;
  for (const auto text : texts) {
    bytes += text.size();
    tokens += tokenizer.encode(text).size();
  }
  return static_cast<double>(bytes) / static_cast<double>(tokens);
}

}  // namespace

int train_tokenizer(const TrainTokenizerOptions& options, const CommonOptions& common) {
  using Clock = std::chrono::steady_clock;
  const std::filesystem::path out(options.out);
  if (!options.force && std::filesystem::exists(out))
    throw ttt::Error(options.out + ": exists already; --force overwrites it");
  Terminal terminal(common.quiet);
  // The same tenths are kept for validation as in training a model.
  const auto corpus = load_corpus(data_paths(options.data), 1, terminal);
  const auto start = Clock::now();
  const auto vocabulary =
      ttt::io::train_bpe(texts_of(corpus, &ttt::training::Corpus::training_text), options.vocabulary);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const std::string text = vocabulary.json();
  const auto tokenizer = ttt::io::Tokenizer::from_json(text, options.out);
  const double bytes = bytes_per_token(tokenizer, texts_of(corpus, &ttt::training::Corpus::validation_text));
  ttt::io::write_file_atomically(out, [&](ttt::io::OutputFile& file) { file.write(text); });
  if (tokenizer.vocabulary() < options.vocabulary)
    terminal.message("no pair of tokens occurs twice any more: " + std::to_string(tokenizer.vocabulary()) +
                     " tokens, not " + std::to_string(options.vocabulary));
  if (common.json)
    write_output(json_text({{"tokenizer", options.out},
                            {"vocabulary", tokenizer.vocabulary()},
                            {"merges", vocabulary.merges.size()},
                            {"bytes_per_token", bytes},
                            {"seconds", seconds}}) +
                 "\n");
  else
    write_output(std::to_string(tokenizer.vocabulary()) + " tokens, " + decimal(bytes, 2) +
                 " bytes each on the validation text; tokenizer in " + options.out + "\n");
  return success;
}

}  // namespace ttt_lm
