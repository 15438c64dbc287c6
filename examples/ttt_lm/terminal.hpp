// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <string>
#include <vector>

namespace ttt_lm {

/// Where a piece of work is.
struct Progress {
  std::string label;     ///< "ttt-linear, mamba"
  std::string position;  ///< "step 120/428"
  double fraction = 0;   ///< done, of 1
  double loss = 0;       ///< of training, averaged over the last steps; not finite: not shown
  double tokens_per_second = 0;
  double seconds_left = 0;
};

/// Messages and progress, on stderr. On a terminal progress is one line that is drawn over; elsewhere it is a plain
/// line from time to time. Colours need a terminal and no NO_COLOR.
class Terminal {
 public:
  explicit Terminal(bool quiet);
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal() { clear(); }

  /// A line that stays.
  void message(const std::string& text);
  /// Draws progress, unless it was just drawn.
  void progress(const Progress& progress);
  /// Removes the progress line.
  void clear();

 private:
  using Clock = std::chrono::steady_clock;

  std::string bar(double fraction, int width) const;
  std::string colored(const char* code, const std::string& text) const;
  void draw(const Progress& progress);

  bool quiet_, tty_, color_;
  bool drawn_ = false;
  Clock::time_point last_;
};

/// "1:05", "2:03:10".
std::string duration_text(double seconds);
/// Three significant digits with a unit of thousands: "34.1k".
std::string count_text(double value);
/// A fixed number of decimals.
std::string decimal(double value, int digits);
/// "1.2 MB".
std::string bytes_text(double bytes);

/// Columns of equal width, the first one flush left, the others flush right; the first row is the heading.
std::string table_text(const std::vector<std::vector<std::string>>& rows);

/// Writes to stdout, or throws ttt::Error naming it.
void write_output(const std::string& text);

}  // namespace ttt_lm
