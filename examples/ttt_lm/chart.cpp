// SPDX-License-Identifier: MIT
#include "chart.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>

#include "terminal.hpp"

namespace ttt_lm {

namespace {

constexpr double chart_width = 590, chart_height = 400, left = 64, right = 180, top = 52, bottom = 56,
                 caption_height = 30;

struct Look {
  const char* color;
  const char* dash;
};
// Okabe and Ito 2008, without yellow, the dark ones first.
constexpr std::array<Look, 6> looks{{{"#0072B2", ""},
                                     {"#D55E00", "7 3"},
                                     {"#009E73", "2 3"},
                                     {"#CC79A7", "10 3 2 3"},
                                     {"#000000", "4 2"},
                                     {"#56B4E9", "12 4"}}};

std::string number(double value) { return decimal(value, 1); }

std::string escaped(const std::string& text) {
  std::string result;
  for (const char c : text) result += c == '&' ? "&amp;" : c == '<' ? "&lt;" : c == '>' ? "&gt;" : std::string(1, c);
  return result;
}

std::string text(double x, double y, const char* attributes, const std::string& content) {
  return "<text x=\"" + number(x) + "\" y=\"" + number(y) + "\" " + attributes + ">" + escaped(content) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char* attributes) {
  return "<line x1=\"" + number(x1) + "\" y1=\"" + number(y1) + "\" x2=\"" + number(x2) + "\" y2=\"" + number(y2) +
         "\" " + attributes + "/>\n";
}

std::string tick_text(double value) {
  if (value >= 1000) {
    const std::string short_text = count_text(value);
    const auto point = short_text.find('.');
    if (point == std::string::npos) return short_text;
    // "1.00k" is 1k, "2.50k" is 2.5k.
    std::string digits = short_text.substr(0, short_text.size() - 1);
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
    return digits + short_text.back();
  }
  std::string digits = decimal(value, value < 0.1 ? 3 : value < 10 ? 2 : 0);
  if (digits.find('.') != std::string::npos) {
    while (digits.back() == '0') digits.pop_back();
    if (digits.back() == '.') digits.pop_back();
  }
  return digits;
}

/// A logarithmic axis from values to places on the page.
struct Axis {
  double low = 1, high = 10, begin = 0, end = 1;

  double place(double value) const { return begin + (end - begin) * std::log(value / low) / std::log(high / low); }

  /// Round numbers inside of the axis, as many as are easy to read, evenly spread where the range allows it.
  std::vector<double> ticks() const {
    const double span = high / low;
    // A short range has even steps, a long one powers of ten and what is between them.
    if (span < 8) return even_ticks();
    const std::vector<double> mantissas = span < 300 ? std::vector<double>{1, 2, 5} : std::vector<double>{1};
    std::vector<double> ticks;
    for (double power = std::pow(10, std::floor(std::log10(low))); power <= high; power *= 10)
      for (const double mantissa : mantissas)
        if (power * mantissa >= low * 0.999 && power * mantissa <= high * 1.001) ticks.push_back(power * mantissa);
    return ticks;
  }

 private:
  std::vector<double> even_ticks() const {
    const double rough = (high - low) / 6, power = std::pow(10, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double mantissa : {5.0, 2.0, 1.0})
      if (mantissa * power >= rough) step = mantissa * power;
    std::vector<double> ticks;
    for (double value = std::ceil(low / step) * step; value <= high * 1.0001; value += step) ticks.push_back(value);
    return ticks;
  }
};

Axis axis_of(const Chart& chart, double Series::Point::*coordinate, double begin, double end, double margin) {
  Axis axis{0, 0, begin, end};
  for (const auto& series : chart.series)
    for (const auto& point : series.points) {
      const double value = point.*coordinate;
      axis.low = axis.low == 0 ? value : std::min(axis.low, value);
      axis.high = std::max(axis.high, value);
    }
  if (axis.low == 0) return {1, 10, begin, end};
  if (axis.high < axis.low * 1.02) axis.high = axis.low * 1.02;
  const double room = std::pow(axis.high / axis.low, margin);
  axis.low /= room;
  axis.high *= room;
  return axis;
}

std::string frame(const Chart& chart, const Axis& x, const Axis& y) {
  std::string out = text(x.begin, 24, "class=\"title\"", chart.title);
  for (const double value : y.ticks()) {
    out += line(x.begin, y.place(value), x.end, y.place(value), "class=\"grid\"");
    out += text(x.begin - 8, y.place(value) + 4, "text-anchor=\"end\"", tick_text(value));
  }
  for (const double value : x.ticks()) {
    out += line(x.place(value), y.begin, x.place(value), y.begin + 5, "class=\"axis\"");
    out += text(x.place(value), y.begin + 19, "text-anchor=\"middle\"", tick_text(value));
  }
  out += line(x.begin, y.begin, x.end, y.begin, "class=\"axis\"");
  out += text((x.begin + x.end) / 2, y.begin + 40, "text-anchor=\"middle\"", chart.x_label);
  out += text(x.begin, top - 10, "class=\"label\"", chart.y_label);
  return out;
}

std::string curve(const Series& series, const Look& look, const Axis& x, const Axis& y) {
  std::string points;
  for (const auto& point : series.points) points += number(x.place(point.x)) + "," + number(y.place(point.y)) + " ";
  return "<polyline points=\"" + points + "\" stroke=\"" + look.color + "\"" +
         (*look.dash ? std::string(" stroke-dasharray=\"") + look.dash + "\"" : "") + " class=\"curve\"/>\n";
}

/// Heights of the labels at the ends of the lines: in the order of the lines, moved apart so that none covers another.
std::vector<double> label_places(const Chart& chart, const Axis& y) {
  constexpr double distance = 16;
  std::vector<std::size_t> order(chart.series.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<double> places;
  for (const auto& series : chart.series)
    places.push_back(series.points.empty() ? y.begin : y.place(series.points.back().y));
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return places[a] < places[b]; });
  for (int round = 0; round < 64; ++round)
    for (std::size_t i = 1; i < order.size(); ++i) {
      const double overlap = distance - (places[order[i]] - places[order[i - 1]]);
      if (overlap <= 0) continue;
      places[order[i - 1]] -= overlap / 2;
      places[order[i]] += overlap / 2;
    }
  return places;
}

std::string draw(const Chart& chart) {
  const Axis x = axis_of(chart, &Series::Point::x, left, chart_width - right, 0);
  const Axis y = axis_of(chart, &Series::Point::y, chart_height - bottom, top, 0.04);
  std::string out = frame(chart, x, y);
  const auto places = label_places(chart, y);
  for (std::size_t i = 0; i < chart.series.size(); ++i) {
    const Look& look = looks[i % looks.size()];
    const auto& series = chart.series[i];
    if (series.points.empty()) continue;
    const std::string color = std::string("fill=\"") + look.color + "\" class=\"name\"";
    out += curve(series, look, x, y);
    const double end = x.place(series.points.back().x);
    const std::string leader = std::string("stroke=\"") + look.color + "\" stroke-width=\"0.7\"";
    out += line(end + 2, y.place(series.points.back().y), x.end + 8, places[i], leader.c_str());
    out += text(x.end + 11, places[i] + 4, color.c_str(), series.label);
  }
  return out;
}

}  // namespace

std::string svg(const std::vector<Chart>& charts, const std::string& caption) {
  const double width = chart_width * static_cast<double>(charts.size()), height = chart_height + caption_height;
  std::string out = "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 " + number(width) + " " + number(height) +
                    "\" width=\"" + number(width) + "\" height=\"" + number(height) +
                    "\" font-family=\"Helvetica, Arial, 'DejaVu Sans', sans-serif\" font-size=\"12\" fill=\"#222\">\n"
                    "<style>.title{font-size:15px;font-weight:bold}.grid{stroke:#ddd;stroke-width:1}"
                    ".axis{stroke:#444;stroke-width:1}.curve{fill:none;stroke-width:2.2;stroke-linejoin:round}"
                    ".label{fill:#444}.name{font-weight:bold}</style>\n"
                    "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n";
  for (std::size_t i = 0; i < charts.size(); ++i)
    out += "<g transform=\"translate(" + number(chart_width * static_cast<double>(i)) + " 0)\">\n" + draw(charts[i]) +
           "</g>\n";
  return out + text(left, height - 14, "fill=\"#555\"", caption) + "</svg>\n";
}

}  // namespace ttt_lm
