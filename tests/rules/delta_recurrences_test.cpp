// SPDX-License-Identifier: MIT
#include <Eigen/Core>

#include <array>
#include <cmath>
#include <functional>
#include <string>

#include "rules/delta_sequence.hpp"

using namespace ttt;
using namespace ttt::delta_tests;
using Eigen::MatrixXd;
using Eigen::VectorXd;

namespace {

constexpr double tolerance = 1e-12;
constexpr Index tokens = 3 * rules::delta_chunk + 2, keys = 6, values = 5;

/// What any instance may read; a token's numbers as columns, as its equation has them.
struct Inputs {
  MatrixXd q = draw(keys, 1, 0.4), k = draw(keys, 2).colwise().normalized(), v = draw(values, 3);
  VectorXd beta = 2 * draw(tokens, 4).col(0).array().abs().min(1);  // of up to 2: negative eigenvalues
  MatrixXd b = draw(keys, 5).array().abs().min(1), w = draw(values, 6).array().abs().min(1);
  MatrixXd p = k.array() * draw(keys, 7).array().abs().min(1);
  MatrixXd g = -draw(keys, 8, 0.3).array().abs();
  MatrixXd state = eigen(random_matrix<double>(keys, values, 9));

  static MatrixXd eigen(const Matrix<double>& x) {
    MatrixXd result(x.rows(), x.columns());
    for (Index r = 0; r < x.rows(); ++r)
      for (Index c = 0; c < x.columns(); ++c) result(r, c) = x(r, c);
    return result;
  }
  static MatrixXd draw(Index rows, std::uint64_t seed, double scale = 1) {
    return eigen(random_matrix<double>(tokens, rows, seed, scale)).transpose();
  }
};

/// The rule on rows q, e, c, v, g gives what `step(t, S)` does, which moves S and returns o; both begin with the state.
/// A row of no numbers is one that the instance has none of.
void check(const std::string& name, const Inputs& in, const std::array<MatrixXd, 5>& rows,
           const std::function<VectorXd(Index, MatrixXd&)>& step) {
  INFO(name);
  const auto matrix = [](const MatrixXd& x) {
    Matrix<double> result(x.rows(), x.cols());
    for (Index r = 0; r < x.rows(); ++r)
      for (Index c = 0; c < x.cols(); ++c) result(r, c) = x(r, c);
    return result;
  };
  const auto of = [&](std::size_t i) { return matrix(rows[i].transpose()); };
  const Sequence<double> s{of(0), of(1), of(2), of(3), of(4), matrix(in.state)};
  MatrixXd state = in.state, out(values, tokens);
  for (Index t = 0; t < tokens; ++t) out.col(t) = step(t, state);
  for (const auto& result : {forward(s), recurrent(s)}) {
    CHECK(difference(result.out, matrix(out.transpose())) <= tolerance);
    CHECK(difference(result.state, matrix(state)) <= tolerance);
  }
}

}  // namespace

TEST_CASE("every instance of the delta family is its own recurrence", "[rules][delta]") {
  const Inputs in;
  const auto &q = in.q, &k = in.k, &v = in.v, &b = in.b, &w = in.w, &p = in.p;
  const auto& beta = in.beta;
  const MatrixXd none(0, tokens), one = in.g.topRows(1), alpha = in.g.array().exp(), I = MatrixXd::Identity(keys, keys);
  const MatrixXd beta_k = k * beta.asDiagonal(), beta_v = v * beta.asDiagonal(), beta_p = p * beta.asDiagonal();

  check("linear attention", in, {q, none, k, v, none}, [&](Index t, MatrixXd& S) -> VectorXd {
    S += k.col(t) * v.col(t).transpose();
    VectorXd o = in.state.transpose() * q.col(t);
    for (Index s = 0; s <= t; ++s) o += q.col(t).dot(k.col(s)) * v.col(s);
    return o;
  });
  check("linear attention with one decay", in, {q, none, k, v, one}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = alpha(0, t) * S + k.col(t) * v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  check("gated linear attention", in, {q, none, k, v, in.g}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = alpha.col(t).asDiagonal() * S + k.col(t) * v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  check("DeltaNet", in, {q, beta_k, k, beta_v, none}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = (I - beta(t) * k.col(t) * k.col(t).transpose()) * S + beta(t) * k.col(t) * v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  check("Gated DeltaNet", in, {q, beta_k, k, beta_v, one}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = alpha(0, t) * (I - beta(t) * k.col(t) * k.col(t).transpose()) * S + beta(t) * k.col(t) * v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  check("Kimi Delta Attention", in, {q, beta_k, k, beta_v, in.g}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = (I - beta(t) * k.col(t) * k.col(t).transpose()) * alpha.col(t).asDiagonal() * S +
        beta(t) * k.col(t) * v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  const MatrixXd b_k = b.array() * k.array(), w_v = w.array() * v.array();
  check("Gated DeltaNet 2", in, {q, b_k, k, w_v, in.g}, [&](Index t, MatrixXd& S) -> VectorXd {
    S = (I - k.col(t) * b_k.col(t).transpose()) * alpha.col(t).asDiagonal() * S + k.col(t) * w_v.col(t).transpose();
    return S.transpose() * q.col(t);
  });
  check("Comba", in, {q, beta_p, k, beta_v, one}, [&](Index t, MatrixXd& S) -> VectorXd {
    S *= alpha(0, t);
    S += beta(t) * k.col(t) * (v.col(t) - S.transpose() * p.col(t)).transpose();
    return S.transpose() * q.col(t);
  });
  // h [P × N] = e^(ΔA) h + Δ x Bᵀ, y = h C; Δ = β, A = −0.7, x = v, B = k, C = q.
  const MatrixXd step_rates = -0.7 * beta.transpose();
  check("Mamba-2", in, {q, none, k, beta_v, step_rates}, [&](Index t, MatrixXd& S) -> VectorXd {
    const MatrixXd h = std::exp(-0.7 * beta(t)) * S.transpose() + beta(t) * v.col(t) * k.col(t).transpose();
    S = h.transpose();
    return h * q.col(t);
  });
}
