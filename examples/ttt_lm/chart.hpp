// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace ttt_lm {

/// A line of a chart.
struct Series {
  struct Point {
    double x = 0, y = 0;
  };
  std::string label;
  std::vector<Point> points;  ///< x and y above 0, x rising
};

/// A chart with logarithmic axes. Series of all charts in a picture have the same order, and so the same look.
struct Chart {
  std::string title, x_label, y_label;
  std::vector<Series> series;
};

/// Charts side by side as SVG: colours that colour-blind people and grey printers keep apart (with dashes beside them),
/// a label at the end of each line, no legend to look things up in.
std::string svg(const std::vector<Chart>& charts, const std::string& caption);

}  // namespace ttt_lm
