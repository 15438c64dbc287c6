// SPDX-License-Identifier: MIT
// ttt-lm: trains, evaluates and compares language models with test-time-training layers.
#include <algorithm>
#include <cstdio>
#include <exception>
#include <new>
#include <string>

#include "command_line.hpp"
#include "commands.hpp"
#include "ttt/core/denormals.hpp"
#include "ttt/core/error.hpp"

namespace {

using namespace ttt_lm;

int run(const Invocation& call) {
  if (call.command == "train") return train(call.train, call.common, call.given);
  if (call.command == "train-tokenizer") return train_tokenizer(call.train_tokenizer, call.common);
  if (call.command == "evaluate") return evaluate(call.evaluate, call.common);
  if (call.command == "generate") return generate(call.generate, call.common, call.given);
  if (call.command == "logits") return logits(call.logits, call.common);
  if (call.command == "info") return info(call.info, call.common);
  if (call.command == "verify") return verify(call.verify, call.common);
  if (call.command == "convert") return convert(call.convert, call.common);
  return compare(call.compare, call.common, call.given);
}

/// The one form of all that goes wrong: one line, whatever the message holds.
int report(std::string message, ExitCode exit_code) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "ttt-lm: %s\n", message.c_str());
  return exit_code;
}

}  // namespace

int main(int count, char** arguments) {
  // Tiny gradients of a run that goes well or badly must not make it slow.
  const ttt::FlushDenormals flush;
  Invocation call;
  try {
    if (const auto ended = parse_command_line(count, arguments, call)) return *ended;
    return run(call);
  } catch (const UsageError& error) {
    const std::string command = call.command.empty() ? "" : " " + call.command;
    return report(error.what() + (" (see ttt-lm" + command + " --help)"), usage_error);
  } catch (const ttt::Cancelled&) {
    return report("stopped", interrupted);
  } catch (const std::bad_alloc&) {
    return report("not enough memory for this model, context and batch", failure);
  } catch (const std::exception& error) {
    return report(error.what(), failure);
  }
}
