// SPDX-License-Identifier: MIT
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "tokenizer.hpp"
#include "ttt/io/file_descriptor.hpp"
#include "ttt/serving/sampling.hpp"

namespace ttt_lm {

namespace {

constexpr std::size_t largest_prompt_file = std::size_t{1} << 30;

struct Prompt {
  std::string source;  ///< option that gave it, for messages
  std::string text;
  std::vector<std::int64_t> ids;
};

/// The prompt; without ids when it is a text.
Prompt read_prompt(const GenerateOptions& options, const std::set<std::string>& given) {
  Prompt prompt{"--prompt", options.prompt, options.prompt_ids};
  if (given.contains("--prompt-ids")) {
    prompt.source = "--prompt-ids";
  } else if (given.contains("--prompt-file")) {
    prompt.source = "--prompt-file " + options.prompt_file;
    prompt.text = ttt::io::read_text_file(options.prompt_file, largest_prompt_file);
  }
  return prompt;
}

/// A text behind the mark of a beginning, if the tokenizer has one.
std::vector<std::int64_t> prompt_tokens(const ttt::io::Tokenizer& tokenizer, const std::string& text) {
  auto ids = tokenizer.prefix();
  const auto rest = tokenizer.encode(text);
  ids.insert(ids.end(), rest.begin(), rest.end());
  return ids;
}

bool is_text(const Prompt& prompt) { return prompt.source != "--prompt-ids"; }

void check_prompt(const Prompt& prompt, Index vocabulary) {
  if (prompt.ids.empty())
    ttt::throw_unexpected(prompt.source, "at least one token to begin with", "an empty prompt");
  for (const std::int64_t id : prompt.ids)
    if (id < 0 || id >= vocabulary)
      ttt::throw_unexpected(prompt.source, "ids from 0 to " + std::to_string(vocabulary - 1), std::to_string(id));
}

/// Bytes for stdout; a terminal gets no control characters, which could do anything to it.
std::string visible(std::string_view text, bool terminal) {
  std::string result(text);
  for (char& c : result)
    if (const auto byte = static_cast<unsigned char>(c);
        terminal && ((byte < 32 && c != '\n' && c != '\t') || byte == 127))
      c = '?';
  return result;
}

/// Prints tokens as they come, as text or as ids; with JSON nothing until the end.
class Output {
 public:
  Output(bool text, bool json) : text_(text), json_(json), terminal_(::isatty(STDOUT_FILENO) == 1) {}

  void text(std::string_view text) {
    if (!json_) write_output(visible(text, terminal_));
  }
  void id(std::int64_t id) {
    if (json_ || text_) return;
    write_output((first_ ? "" : " ") + std::to_string(id));
    first_ = false;
  }
  void end() {
    if (!json_ && (!text_ || terminal_)) write_output("\n");
  }

 private:
  bool text_, json_, terminal_, first_ = true;
};

void print_json(const Prompt& prompt, const std::vector<std::int64_t>& ids, const std::string& text,
                double tokens_per_second) {
  nlohmann::ordered_json json;
  if (is_text(prompt)) {
    json["prompt"] = prompt.text;
    json["text"] = text;
  }
  json["prompt_ids"] = prompt.ids;
  json["ids"] = ids;
  json["tokens_per_second"] = tokens_per_second;
  // Bytes that are no UTF-8 cannot be said in JSON; the ids say them.
  write_output(json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n");
}

}  // namespace

int generate(const GenerateOptions& options, const CommonOptions& common, const std::set<std::string>& given) {
  using Clock = std::chrono::steady_clock;
  const ttt::SamplingConfig sampling{options.temperature, options.top_p};
  sampling.check();
  Prompt prompt = read_prompt(options, given);
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const auto tokenizer = is_text(prompt) ? folder_tokenizer(options.model, loaded.model.vocabulary(),
                                                            "; give token ids with --prompt-ids")
                                         : ttt::io::Tokenizer::bytes();
  if (is_text(prompt)) prompt.ids = prompt_tokens(tokenizer, prompt.text);
  check_prompt(prompt, loaded.model.vocabulary());
  ttt::Sampler sampler(sampling, loaded.model.vocabulary(), common.seed);
  Session session(loaded.model, loaded.parameters, static_cast<Index>(prompt.ids.size()) + options.tokens, machine.context());
  catch_interrupts();
  Output output(is_text(prompt), common.json);
  output.text(prompt.text);
  ttt::io::StreamDecoder decoder(tokenizer, ttt::io::SpecialTokens::skip);
  for (const std::int64_t id : prompt.ids) static_cast<void>(decoder.next(id));
  std::string text;
  const auto ends = is_text(prompt) ? end_tokens(options.model) : std::vector<std::int64_t>();
  session.read(prompt.ids);
  std::vector<std::int64_t> ids;
  const auto start = Clock::now();
  while (static_cast<std::int64_t>(ids.size()) < options.tokens && !was_interrupted()) {
    const auto logits = session.logits();
    if (!std::all_of(logits.begin(), logits.end(), [](float x) { return std::isfinite(x); }))
      throw ttt::Error(options.model + ": the logits after token " + std::to_string(session.position()) + " are not finite");
    ids.push_back(sampler(logits));
    output.id(ids.back());
    if (std::find(ends.begin(), ends.end(), ids.back()) != ends.end()) break;
    if (is_text(prompt)) {
      const auto part = decoder.next(ids.back());
      output.text(part);
      text += part;
    }
    if (static_cast<std::int64_t>(ids.size()) < options.tokens) session.read(std::span(&ids.back(), 1));
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  output.end();
  if (was_interrupted()) return interrupted;
  const double speed = static_cast<double>(ids.size()) / seconds;
  if (common.json) print_json(prompt, ids, text, speed);
  terminal.message(std::to_string(ids.size()) + " tokens, " + count_text(speed) + " tokens/s");
  return success;
}

}  // namespace ttt_lm
