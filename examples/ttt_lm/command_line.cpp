// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "command_options.hpp"

namespace ttt_lm {

namespace {

const char* const program_examples = R"(
  ttt-lm compare --layers ttt-linear,attention --minutes 1 --out runs/first
  ttt-lm train --layer ttt-linear --minutes 5 --out runs/linear
  ttt-lm generate --model runs/linear --prompt "template <" --tokens 200
  ttt-lm evaluate --model runs/linear --context 1024
)";

std::string full_name(const CLI::App& app) {
  return app.get_parent() ? full_name(*app.get_parent()) + " " + app.get_name() : app.get_name();
}

/// Help that begins with examples, the footer of other programs: most people need nothing else.
class Formatter : public CLI::Formatter {
 public:
  Formatter() { column_width(34); }
  std::string make_help(const CLI::App* app, std::string, CLI::AppFormatMode mode) const override {
    return "Examples:" + app->get_footer() + "\n" + CLI::Formatter::make_help(app, full_name(*app), mode);
  }
  std::string make_footer(const CLI::App*) const override { return {}; }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return {};
    std::string text = option->get_type_name().empty() ? "" : " " + option->get_type_name();
    const std::string standard = option->get_default_str();
    if (!standard.empty() && standard != "[]") text += standard.front() == '[' ? " " + standard : " [" + standard + "]";
    return text + (option->get_expected_max() > 1 ? " ..." : "");
  }
};

int print(const std::string& text) {
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? failure : success;
}

/// One line, whatever the parser says.
int reject(std::string message, const CLI::App& app) {
  std::replace(message.begin(), message.end(), '\n', ' ');
  std::fprintf(stderr, "ttt-lm: %s (see %s --help)\n", message.c_str(), full_name(app).c_str());
  return usage_error;
}

/// The exit code if nothing is left to do.
std::optional<int> parse(CLI::App& app, int count, const char* const* arguments) {
  const auto is_first = [&](const CLI::App* command) { return command->get_name() == arguments[1]; };
  if (count > 1 && arguments[1][0] != '-' && app.get_subcommands(is_first).empty())
    return reject("'" + std::string(arguments[1]) + "' is no command", app);
  try {
    app.parse(count, arguments);
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    return print(app.help());
  } catch (const CLI::CallForVersion& version) {
    return print(version.what() + std::string("\n"));
  } catch (const CLI::ParseError& error) {
    const auto commands = app.get_subcommands();
    return reject(error.what(), commands.empty() ? app : *commands.front());
  }
}

}  // namespace

std::optional<Invocation> parse_command_line(int count, const char* const* arguments, int& exit_code) {
  Invocation invocation;
  CLI::App app("Language models with test-time-training layers, and with attention beside them.", "ttt-lm");
  app.formatter(std::make_shared<Formatter>());
  add_commands(app, invocation);
  app.footer(program_examples);
  if (const auto ended = parse(app, count, arguments)) {
    exit_code = *ended;
    return std::nullopt;
  }
  const CLI::App* command = app.get_subcommands().front();
  invocation.command = command->get_name();
  for (const CLI::Option* option : command->get_options())
    if (option->count() > 0) invocation.given.insert(option->get_name());
  return invocation;
}

}  // namespace ttt_lm
