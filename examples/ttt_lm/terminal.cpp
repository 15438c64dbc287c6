// SPDX-License-Identifier: MIT
#include "terminal.hpp"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "ttt/core/error.hpp"

namespace ttt_lm {

namespace {

int terminal_width() {
  winsize size{};
  return ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

bool is_set(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr && *value != '\0';
}

bool is_dumb() {
  const char* kind = std::getenv("TERM");
  return kind == nullptr || std::strcmp(kind, "dumb") == 0;
}

std::string joined(const std::vector<std::string>& parts) {
  std::string text;
  for (const auto& part : parts)
    if (!part.empty()) text += (text.empty() ? "" : "  ") + part;
  return text;
}

// Columns on the screen: bytes that do not continue a UTF-8 sequence.
std::size_t columns_of(const std::string& text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace

Terminal::Terminal(bool quiet)
    : quiet_(quiet), tty_(::isatty(STDERR_FILENO) == 1 && !is_dumb()), color_(tty_ && !is_set("NO_COLOR")) {
  if (!tty_) last_ = Clock::now();
}

void Terminal::message(const std::string& text) {
  if (quiet_) return;
  clear();
  std::fprintf(stderr, "%s\n", text.c_str());
}

void Terminal::clear() {
  if (drawn_) std::fputs("\r\033[K", stderr);
  drawn_ = false;
}

std::string Terminal::colored(const char* code, const std::string& text) const {
  return color_ ? std::string("\033[") + code + "m" + text + "\033[0m" : text;
}

std::string Terminal::bar(double fraction, int width) const {
  const int filled = static_cast<int>(std::lround(std::clamp(fraction, 0.0, 1.0) * width));
  std::string done, rest;
  for (int i = 0; i < width; ++i) (i < filled ? done : rest) += i < filled ? "━" : "─";
  return colored("36", done) + colored("2", rest);
}

void Terminal::progress(const Progress& progress) {
  if (quiet_) return;
  const auto now = Clock::now();
  const auto pause = tty_ ? std::chrono::milliseconds(100) : std::chrono::milliseconds(10000);
  if (last_ != Clock::time_point() && now - last_ < pause) return;
  last_ = now;
  draw(progress);
}

void Terminal::draw(const Progress& progress) {
  const std::string percent = std::to_string(static_cast<int>(progress.fraction * 100)) + " %";
  const std::string loss = std::isfinite(progress.loss) ? "loss " + decimal(progress.loss, 3) : "";
  const std::string speed = progress.tokens_per_second > 0 ? count_text(progress.tokens_per_second) + " tokens/s" : "";
  const std::string left = duration_text(progress.seconds_left) + " left";
  if (!tty_) {
    std::fprintf(stderr, "%s\n", joined({progress.label, progress.position, percent, loss, speed, left}).c_str());
    return;
  }
  // What matters least is left out first when the line is short.
  std::vector<std::string> parts{percent, loss, speed, left, progress.position};
  const auto room = static_cast<std::size_t>(terminal_width() - 1);
  constexpr std::size_t smallest_bar = 8, largest_bar = 32;
  std::string text = joined(parts);
  while (parts.size() > 1 && columns_of(progress.label) + 4 + smallest_bar + columns_of(text) > room) {
    parts.pop_back();
    text = joined(parts);
  }
  const std::size_t used = columns_of(progress.label) + 4 + columns_of(text);
  const std::size_t width = used + smallest_bar > room ? 0 : std::min(largest_bar, room - used);
  const std::string line =
      colored("1", progress.label) + "  " + bar(progress.fraction, static_cast<int>(width)) + "  " + text;
  std::fprintf(stderr, "\r\033[K%s", line.c_str());
  std::fflush(stderr);
  drawn_ = true;
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds)) return "?";
  const auto whole = std::max(0LL, std::llround(seconds));
  std::array<char, 48> text{};
  if (whole >= 3600)
    std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", whole / 3600, whole / 60 % 60, whole % 60);
  else
    std::snprintf(text.data(), text.size(), "%lld:%02lld", whole / 60, whole % 60);
  return text.data();
}

std::string decimal(double value, int digits) {
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

std::string count_text(double value) {
  const char* const units[] = {"", "k", "M", "G"};
  std::size_t unit = 0;
  while (value >= 1000 && unit < 3) {
    value /= 1000;
    ++unit;
  }
  const int digits = unit == 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
  return decimal(value, digits) + units[unit];
}

std::string bytes_text(double bytes) {
  const char* const units[] = {"B", "kB", "MB", "GB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit < 3) {
    bytes /= 1000;
    ++unit;
  }
  return decimal(bytes, unit == 0 ? 0 : bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2) + " " + units[unit];
}

std::string table_text(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], columns_of(row[c]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t c = 0; c < row.size(); ++c) {
      const std::string padding(widths[c] - columns_of(row[c]), ' ');
      line += (c > 0 ? "  " : "") + (c == 0 ? row[c] + padding : padding + row[c]);
    }
    text += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return text;
}

void write_output(const std::string& text) {
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    throw ttt::Error(std::string("standard output: cannot write: ") + std::strerror(errno));
}

}  // namespace ttt_lm
