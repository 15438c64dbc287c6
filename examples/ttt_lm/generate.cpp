// SPDX-License-Identifier: MIT
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "interrupt.hpp"
#include "json_text.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "tokenizer.hpp"
#include "ttt/io/file_descriptor.hpp"
#include "ttt/serving/sampling.hpp"

namespace ttt_lm {

namespace {

struct Prompt {
  std::string source;  ///< option that gave it, or "standard input", for messages
  std::string text;
  std::vector<std::int64_t> ids;
  bool is_text() const { return source != "--prompt-ids"; }
};

/// Everything up to the end of a file or pipe, called `name` in messages.
std::string read_to_end(int descriptor, const std::string& name) {
  constexpr std::size_t largest = std::size_t{1} << 30;
  std::string text;
  std::array<char, 1 << 16> piece;
  for (;;) {
    const ssize_t count = ::read(descriptor, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ttt::io::throw_system_error(name, "read");
    if (count == 0) return text;
    text.append(piece.data(), static_cast<std::size_t>(count));
    if (text.size() > largest) ttt::throw_unexpected(name, "at most " + std::to_string(largest) + " bytes", "more");
  }
}

/// A file, which may be a pipe too, as shells make one for a command.
std::string read_prompt_file(const std::string& path) {
  const ttt::io::FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.is_open()) ttt::io::throw_system_error(path, "open for reading");
  return read_to_end(file.number(), path);
}

/// The prompt; without ids when it is a text.
Prompt read_prompt(const GenerateOptions& options, const std::set<std::string>& given) {
  if (given.contains("--prompt-ids")) return {"--prompt-ids", {}, options.prompt_ids};
  const bool is_file = given.contains("--prompt-file");
  if (!is_file && !given.contains("--prompt") && ::isatty(STDIN_FILENO) == 1)
    throw UsageError("a prompt is missing: expected --prompt, --prompt-file, --prompt-ids or a pipe");
  const std::string& word = is_file ? options.prompt_file : options.prompt;
  if (word == "-" || (!is_file && !given.contains("--prompt")))
    return {"standard input", read_to_end(STDIN_FILENO, "standard input"), {}};
  if (is_file) return {"--prompt-file " + word, read_prompt_file(word), {}};
  return {"--prompt", word, {}};
}

/// The tokenizer of the model, for a prompt that is a text; that gets its ids, behind the mark of a beginning, if any.
ttt::io::Tokenizer tokenize(Prompt& prompt, const std::string& model, Index vocabulary) {
  if (!prompt.is_text()) return ttt::io::Tokenizer::bytes();
  auto tokenizer = folder_tokenizer(model, vocabulary, "; give token ids with --prompt-ids");
  prompt.ids = tokenizer.prefix();
  const auto rest = tokenizer.encode(prompt.text);
  prompt.ids.insert(prompt.ids.end(), rest.begin(), rest.end());
  return tokenizer;
}

void check_prompt(const Prompt& prompt, Index vocabulary) {
  if (prompt.ids.empty()) ttt::throw_unexpected(prompt.source, "at least one token to begin with", "an empty prompt");
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

/// What follows a prompt, printed behind it as it comes: as text or as ids; with JSON nothing until the end.
class Continuation {
 public:
  /// Prompt and tokenizer must outlive it.
  Continuation(const Prompt& prompt, const ttt::io::Tokenizer& tokenizer, const std::string& model, bool json)
      : prompt_(prompt), json_(json), decoder_(tokenizer, ttt::io::SpecialTokens::skip) {
    print(prompt.text);
    for (const std::int64_t id : prompt.ids) static_cast<void>(decoder_.next(id));
    if (prompt.is_text()) ends_ = end_tokens(model);
  }

  std::int64_t size() const { return static_cast<std::int64_t>(ids_.size()); }

  /// Whether more may follow this token.
  bool add(std::int64_t id) {
    const std::string part =
        prompt_.is_text() ? std::string(decoder_.next(id)) : (ids_.empty() ? "" : " ") + std::to_string(id);
    ids_.push_back(id);
    if (std::find(ends_.begin(), ends_.end(), id) != ends_.end()) return false;
    print(part);
    text_ += part;
    return true;
  }

  void end() const {
    if (!prompt_.is_text() || terminal_) print("\n");
  }

  void print_json(double tokens_per_second) const {
    nlohmann::ordered_json json;
    if (prompt_.is_text()) {
      json["prompt"] = prompt_.text;
      json["text"] = text_;
    }
    json["prompt_ids"] = prompt_.ids;
    json["ids"] = ids_;
    json["tokens_per_second"] = tokens_per_second;
    write_output(json_text(json) + "\n");
  }

 private:
  void print(std::string_view text) const {
    if (!json_) write_output(visible(text, terminal_));
  }

  const Prompt& prompt_;
  bool json_, terminal_ = ::isatty(STDOUT_FILENO) == 1;
  ttt::io::StreamDecoder decoder_;
  std::vector<std::int64_t> ends_, ids_;
  std::string text_;
};

/// Throws ttt::Error, naming model and position, when its logits say nothing.
std::int64_t next_token(const GenerateOptions& options, const Session& session, ttt::Sampler& sampler) try {
  return sampler(session.logits());
} catch (const ttt::Error& error) {
  throw ttt::Error(options.model + ", after token " + std::to_string(session.position()) + ": " + error.what());
}

/// Until there are as many tokens as wanted, one ends the text, or an interrupt comes.
void extend(Continuation& continuation, const GenerateOptions& options, Session& session, ttt::Sampler& sampler) {
  while (continuation.size() < options.tokens && !was_interrupted()) {
    const std::int64_t id = next_token(options, session, sampler);
    if (!continuation.add(id)) return;
    if (continuation.size() < options.tokens) session.read(std::span(&id, 1));
  }
}

}  // namespace

int generate(const GenerateOptions& options, const CommonOptions& common, const std::set<std::string>& given) {
  using Clock = std::chrono::steady_clock;
  const ttt::SamplingConfig sampling{options.temperature, options.top_p, options.top_k};
  Prompt prompt = read_prompt(options, given);
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const Index vocabulary = loaded.model.vocabulary();
  const auto tokenizer = tokenize(prompt, options.model, vocabulary);
  check_prompt(prompt, vocabulary);
  ttt::Sampler sampler(sampling, vocabulary, common.seed);
  const Index capacity = static_cast<Index>(prompt.ids.size()) + options.tokens;
  Session session(loaded.model, loaded.parameters, capacity, machine.context());
  catch_interrupts();
  Continuation continuation(prompt, tokenizer, options.model, common.json);
  session.read(prompt.ids);
  const auto start = Clock::now();
  extend(continuation, options, session, sampler);
  const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
  continuation.end();
  if (was_interrupted()) return interrupted;
  const double speed = static_cast<double>(continuation.size()) / seconds;
  if (common.json) continuation.print_json(speed);
  terminal.message(std::to_string(continuation.size()) + " tokens, " + count_text(speed) + " tokens/s");
  return success;
}

}  // namespace ttt_lm
