// SPDX-License-Identifier: MIT
#include "ttt/layers/lact.hpp"

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "layers/recurrent_layer.hpp"
#include "rules/large_chunk_model.hpp"

using namespace ttt;
using namespace ttt::formula_parts;
using recurrent_tests::names_of;
using rule_tests::Dense;
using rules::ChunkStep;

namespace {

LactConfig low_rank() {
  return {.width = 12,
          .heads = 3,
          .fast_heads = 2,
          .hidden = 5,
          .chunk = 4,
          .window = 5,
          .rank = 2,
          .step = ChunkStep::momentum,
          .rope_theta = 100,
          .norm_epsilon = 1e-2};
}
/// The fast path alone, turned by nothing.
LactConfig alone() {
  return {.width = 6,
          .heads = 1,
          .fast_heads = 2,
          .hidden = 4,
          .chunk = 3,
          .window = 0,
          .step = ChunkStep::plain,
          .value_silu = false,
          .rotary = false,
          .norm_epsilon = 1e-2};
}
LactConfig with_muon() {
  return {.width = 8,
          .heads = 2,
          .fast_heads = 4,
          .hidden = 3,
          .chunk = 6,
          .window = 4,
          .step = ChunkStep::muon,
          .norm_epsilon = 1e-2};
}

/// W of a head as published, [out × in].
Dense initial(const NamedWeights& p, const std::string& name, std::size_t head, std::size_t out, std::size_t in) {
  Dense w(out, in);
  for (std::size_t r = 0; r < out; ++r)
    for (std::size_t c = 0; c < in; ++c) {
      const auto row = static_cast<Index>(head * out + r), column = static_cast<Index>(c);
      if (p.has(name)) {
        w(r, c) = p[name](row, column);
        continue;
      }
      const auto &a = p[name + ".w_left"], &b = p[name + ".w_right"];
      w(r, c) = r == c ? 0.5 : 0;
      for (Index k = 0; k < a.columns(); ++k)
        w(r, c) += a(row, k) * b(static_cast<Index>(head) * a.columns() + k, column);
    }
  return w;
}

/// Every head of a row, its first half with its second, by the angles of a position.
Row turned(Row row, Index heads, double theta, Index position) {
  const std::size_t width = row.size() / static_cast<std::size_t>(heads), half = width / 2;
  for (std::size_t first = 0; first < row.size(); first += width)
    for (std::size_t i = 0; i < half; ++i) {
      const double angle =
          static_cast<double>(position) * std::pow(theta, -2 * static_cast<double>(i) / static_cast<double>(width));
      double &x = row[first + i], &y = row[first + half + i];
      const double old = x;
      x = old * std::cos(angle) - y * std::sin(angle);
      y = old * std::sin(angle) + y * std::cos(angle);
    }
  return row;
}

/// unit(silu(s ∘ x + o)) of every fast head, for queries (0) or keys (1).
Row fast_input(const NamedWeights& p, const Row& x, Index which, std::size_t width) {
  Row u(x.size());
  for (std::size_t c = 0; c < x.size(); ++c)
    u[c] = silu(p["qk_scale"](static_cast<Index>(c), which) * x[c] + p["qk_offset"](static_cast<Index>(c), which));
  for (std::size_t first = 0; first < u.size(); first += width) {
    double squares = 0;
    for (std::size_t i = 0; i < width; ++i) squares += u[first + i] * u[first + i];
    for (std::size_t i = 0; i < width; ++i) u[first + i] /= std::sqrt(squares) + 1e-5;
  }
  return u;
}

Row affine(const NamedWeights& p, const std::string& name, const Row& x) {
  Row y = map(p[name + ".weight"], x);
  for (std::size_t i = 0; i < y.size(); ++i) y[i] += p[name + ".bias"](0, static_cast<Index>(i));
  return y;
}

/// Adds softmax(q k / √D) v of every head over the last tokens.
void attend(const LactConfig& config, const std::vector<Row>& q, const std::vector<Row>& k, const std::vector<Row>& v,
            Row& out) {
  const auto width = static_cast<std::size_t>(config.head_width()), last = q.size() - 1;
  const std::size_t window = static_cast<std::size_t>(config.window), from = last + 1 > window ? last + 1 - window : 0;
  for (std::size_t first = 0; window > 0 && first < out.size(); first += width) {
    double sum = 0;
    Row heads(width);
    for (std::size_t t = from; t <= last; ++t) {
      double score = 0;
      for (std::size_t i = 0; i < width; ++i) score += q[last][first + i] * k[t][first + i];
      const double weight = std::exp(score / std::sqrt(static_cast<double>(width)));
      sum += weight;
      for (std::size_t i = 0; i < width; ++i) heads[i] += weight * v[t][first + i];
    }
    for (std::size_t i = 0; i < width; ++i) out[first + i] += heads[i] / sum;
  }
}

/// The fast weights of a head.
struct FastHead {
  std::vector<Dense> w, sums, momentum;
  std::vector<Row> lengths;
  double momenta = 0;

  FastHead(const LactConfig& config, const NamedWeights& p, std::size_t head) {
    const auto width = static_cast<std::size_t>(config.fast_width()), hidden = static_cast<std::size_t>(config.hidden);
    w = {initial(p, "w0", head, hidden, width), initial(p, "w1", head, width, hidden),
         initial(p, "w2", head, hidden, width)};
    for (const Dense& one : w) {
      sums.emplace_back(one.rows, one.columns);
      lengths.emplace_back();
      for (std::size_t r = 0; r < one.rows; ++r) lengths.back().push_back(one.length(r));
    }
    momentum = sums;
  }
  void end_chunk(const LactConfig& config) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      if (config.step != ChunkStep::plain)
        momentum[i] = sums[i] = sums[i].plus(momenta / static_cast<double>(config.chunk), momentum[i]);
      w[i] = w[i].plus(1, config.step == ChunkStep::muon ? rule_tests::orthogonal_step(sums[i]) : sums[i]);
      for (std::size_t r = 0; r < w[i].rows; ++r) {
        const double factor = lengths[i][r] / (w[i].length(r) + 1e-5);
        for (std::size_t c = 0; c < w[i].columns; ++c) w[i](r, c) *= factor;
      }
      sums[i] = Dense(w[i].rows, w[i].columns);
    }
    momenta = 0;
  }
};

/// The formula of the docstring, a token at a time, in plain loops.
Matrix<double> formula(const LactConfig& config, const NamedWeights& p, const Matrix<double>& x) {
  const auto C = static_cast<std::size_t>(config.width), D = static_cast<std::size_t>(config.fast_width());
  std::vector<FastHead> heads;
  for (Index h = 0; h < config.fast_heads; ++h) heads.emplace_back(config, p, static_cast<std::size_t>(h));
  std::vector<Row> queries, keys, values;
  Matrix<double> y(x.rows(), config.width);
  for (Index t = 0; t < x.rows(); ++t) {
    const Row token = row_of(x, t), qkv = map(p["qkv.weight"], token);
    const auto third = [&](std::size_t i) { return Row(qkv.data() + i * C, qkv.data() + (i + 1) * C); };
    const auto turn = [&](const Row& row) { return turned(row, config.heads, config.rope_theta, t); };
    const Row q = fast_input(p, third(0), 0, D), k = fast_input(p, third(1), 1, D);
    const Row v = config.value_silu ? silu(third(2)) : third(2);
    const Row fast_q = config.rotary ? turn(q) : q, fast_k = config.rotary ? turn(k) : k;
    const Row rates = affine(p, "lr_proj", token), strength = affine(p, "ttt_scale_proj", token);
    Row out(C);
    for (std::size_t h = 0; h < heads.size(); ++h) {
      if (t > 0 && t % config.chunk == 0) heads[h].end_chunk(config);
      const auto part = [&](const Row& row) { return Row(row.data() + h * D, row.data() + (h + 1) * D); };
      Row eta(rates.data() + 3 * h, rates.data() + 3 * h + 3);
      for (double& rate : eta) rate = std::log1p(std::exp(rate + std::log(std::expm1(0.001))));
      const Row z = rule_tests::PlainSwiglu::answer(heads[h].w, part(fast_q));
      rule_tests::PlainSwiglu::add_step(heads[h].w, part(fast_k), part(v), eta, heads[h].sums);
      if (config.step != ChunkStep::plain) heads[h].momenta += sigmoid(affine(p, "momentum_proj.0", token)[h]);
      double squares = 0;
      for (const double value : z) squares += value * value / static_cast<double>(D);
      for (std::size_t i = 0; i < D; ++i)
        out[h * D + i] = silu(strength[h]) * p["ttt_norm.weight"](0, static_cast<Index>(i)) * z[i] /
                         std::sqrt(squares + config.norm_epsilon);
    }
    queries.push_back(turn(third(0))), keys.push_back(turn(third(1))), values.push_back(third(2));
    attend(config, queries, keys, values, out);
    assign(map(p["o_proj.weight"], out), y, t);
  }
  return y;
}

template <class Scalar>
void check(const LactConfig& config, std::uint64_t seed = 1) {
  // Rates of order one instead of 0.001, so that the steps are seen. Those of Muon do not depend on the rates' size,
  // but how far a difference in one turns them does.
  const double more = config.step == ChunkStep::muon ? 100 : 7;
  const auto prepare = [=](std::string_view name, Index, double value) {
    return name == "lr_proj.bias" ? value + more : value;
  };
  suites::check_sequence_layer(Lact<Scalar>(config), {.mini_batch = config.chunk,
                                                      .one_form = false,
                                                      .seed = seed,
                                                      .spread = 0.3,
                                                      .prepare = prepare,
                                                      .formula = std::bind_front(formula, config)});
}

}  // namespace

TEST_CASE("LaCT is a sequence layer, with attention beside it and alone") {
  check<double>(low_rank());
  check<float>(low_rank());
  check<double>(alone());
  check<float>(alone());
}

TEST_CASE("LaCT with Muon is a sequence layer") {
  // Numbers of which no sum of a chunk is nearly singular: its step turns too fast for differences there.
  check<double>(with_muon(), 4);
}

TEST_CASE("LaCT names its parameters as the published code does, and only those it has") {
  CHECK(names_of(Lact<float>(low_rank())) ==
        std::vector<std::string>{"qkv.weight", "qk_scale", "qk_offset", "lr_proj.weight", "lr_proj.bias",
                                 "momentum_proj.0.weight", "momentum_proj.0.bias", "ttt_scale_proj.weight",
                                 "ttt_scale_proj.bias", "w0.w_left", "w0.w_right", "w1", "w2.w_left", "w2.w_right",
                                 "ttt_norm.weight", "o_proj.weight"});
  CHECK(names_of(Lact<float>(alone())) == std::vector<std::string>{"qkv.weight", "qk_scale", "qk_offset",
                                                                   "lr_proj.weight", "lr_proj.bias",
                                                                   "ttt_scale_proj.weight", "ttt_scale_proj.bias", "w0",
                                                                   "w1", "w2", "ttt_norm.weight", "o_proj.weight"});
}

TEST_CASE("A LaCT that cannot be is refused by name") {
  const auto refusal = [](auto change) { return recurrent_tests::refusal<Lact<float>>(low_rank(), change); };
  CHECK(refusal([](auto&) {}) == "");
  CHECK(Lact<float>({.width = 12, .heads = 3, .fast_heads = 2}).config().hidden == 6);
  CHECK(refusal([](auto& c) { c.width = 0; }) == "LaCT option width: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.heads = 0; }) == "LaCT option heads: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.heads = 5; }) == "LaCT option heads: expected a divisor of the width 12, found 5");
  CHECK(refusal([](auto& c) { c.heads = 4; }) ==
        "LaCT option heads: expected an even head width for the rotary embedding, width 12 over heads, found 4");
  CHECK(refusal([](auto& c) { c.fast_heads = 0; }) == "LaCT option fast_heads: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.fast_heads = 7; }) ==
        "LaCT option fast_heads: expected a divisor of the width 12, found 7");
  CHECK(refusal([](auto& c) { c.hidden = -1; }) == "LaCT option hidden: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.hidden = Index{1} << 30; }) ==
        "LaCT option hidden, times the width: expected at most 1073741824, found 12884901888");
  CHECK(refusal([](auto& c) { c.chunk = 0; }) == "LaCT option chunk: expected at least 1, found 0");
  CHECK(refusal([](auto& c) { c.window = -1; }) == "LaCT option window: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.rank = -1; }) == "LaCT option rank: expected at least 1, found -1");
  CHECK(refusal([](auto& c) { c.rope_theta = 0; }).starts_with("LaCT option rope_theta: expected"));
  CHECK(refusal([](auto& c) { c.norm_epsilon = 0; }).starts_with("LaCT option norm_epsilon: expected"));
}
