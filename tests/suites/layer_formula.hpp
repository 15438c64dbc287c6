// SPDX-License-Identifier: MIT
/// @file
/// A layer's formula in plain loops: what its outputs must be, from its weights by their published names and from its
/// inputs, all in double. The other contracts hold for any formula that is differentiated right.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "support/random_matrix.hpp"
#include "ttt/core/parameters.hpp"

namespace ttt::suites {

/// Row-major; the last dimension is the columns, a vector is one row.
struct NamedWeight {
  Shape shape;
  std::vector<double> values;

  Index columns() const { return shape[shape.rank() - 1]; }
  Index rows() const { return shape.size() / columns(); }
  double operator()(Index r, Index c) const { return values[static_cast<std::size_t>(r * columns() + c)]; }
};

class NamedWeights {
 public:
  template <class Parameters>
  explicit NamedWeights(Parameters parameters) {
    using Scalar = typename Parameters::Scalar;
    parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
      NamedWeight& weight = weights_[std::string(name)];
      weight.shape = tensor.shape();
      for (Index i = 0; i < tensor.size(); ++i) weight.values.push_back(static_cast<double>(tensor[i]));
    });
  }

  bool has(const std::string& name) const { return weights_.count(name) > 0; }
  const NamedWeight& operator[](const std::string& name) const { return weights_.at(name); }

 private:
  std::map<std::string, NamedWeight> weights_;
};

/// y [T × C] of one sequence x [T × C] that begins.
using Formula = std::function<testing::Matrix<double>(const NamedWeights&, const testing::Matrix<double>& x)>;

}  // namespace ttt::suites
