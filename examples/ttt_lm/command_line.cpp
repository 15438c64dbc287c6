// SPDX-License-Identifier: MIT
#include "command_line.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "command_options.hpp"
#include "layer_options.hpp"
#include "suggestion.hpp"

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
  std::string make_footer(const CLI::App* app) const override {
    return app->get_option_no_throw("--pattern") ? "\n" + layer_list() : "";
  }
  std::string make_option_opts(const CLI::Option* option) const override {
    if (option->get_type_size() == 0) return {};
    std::string text = option->get_type_name().empty() ? "" : " " + option->get_type_name();
    const std::string standard = option->get_default_str();
    if (!standard.empty() && standard != "[]") text += standard.front() == '[' ? " " + standard : " [" + standard + "]";
    return text + (option->get_expected_max() > 1 ? " ..." : "");
  }
};

ExitCode print(const std::string& text) {
  return std::fputs(text.c_str(), stdout) < 0 || std::fflush(stdout) != 0 ? failure : success;
}

/// The long names of its options, with what the user may call them: "--steps", and not "DIR".
std::vector<std::string> option_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options())
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  return names;
}

std::vector<std::string> command_names(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  return names;
}

/// Throws UsageError for the first word that nothing took: a misspelt option is often why another is missing.
void refuse_unknown(const CLI::App& app) {
  const auto words = app.remaining();
  if (words.empty()) return;
  if (!words.front().starts_with('-')) throw UsageError("'" + words.front() + "' was not expected");
  const std::string name = words.front().substr(0, words.front().find('='));
  throw UsageError("'" + name + "' is no option" + suggestion(name, option_names(app)));
}

std::optional<ExitCode> parse(CLI::App& app, int count, const char* const* arguments, Invocation& call) {
  const auto commands = command_names(app);
  const std::string first = count > 1 ? arguments[1] : "";
  if (!first.empty() && first[0] != '-' && std::find(commands.begin(), commands.end(), first) == commands.end())
    throw UsageError("'" + first + "' is no command" + suggestion(first, commands));
  const auto parsed_app = [&]() -> const CLI::App& {
    return app.get_subcommands().empty() ? app : *app.get_subcommands().front();
  };
  try {
    app.parse(count, arguments);
    call.command = parsed_app().get_name();
    return std::nullopt;
  } catch (const CLI::CallForHelp&) {
    return print(app.help());
  } catch (const CLI::CallForVersion& version) {
    return print(version.what() + std::string("\n"));
  } catch (const CLI::ParseError& error) {
    if (!app.get_subcommands().empty()) call.command = parsed_app().get_name();
    refuse_unknown(parsed_app());
    throw UsageError(error.what());
  }
}

}  // namespace

std::optional<ExitCode> parse_command_line(int count, const char* const* arguments, Invocation& call) {
  CLI::App app("Language models with test-time-training layers, and with attention beside them.", "ttt-lm");
  app.formatter(std::make_shared<Formatter>());
  add_commands(app, call);
  app.footer(program_examples);
  if (const auto ended = parse(app, count, arguments, call)) return ended;
  for (const CLI::Option* option : app.get_subcommands().front()->get_options())
    if (option->count() > 0) call.given.insert(option->get_name());
  return std::nullopt;
}

}  // namespace ttt_lm
