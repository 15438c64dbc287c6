// SPDX-License-Identifier: MIT
#include "ttt/nn/initial_matrix.hpp"

#include <string>
#include <vector>

#include "nn/blocks.hpp"

using namespace ttt;
using nn::InitialPlace;
using numbers::Matrix;
using Store = ParameterStore<nn::InitialMatrix<double>>;

namespace {

constexpr Index heads = 2, rows = 3, columns = 70;  // columns in several pieces

nn::InitialMatrix<double> make(Index rank, InitialPlace place) {
  return {"W", {heads, rows, columns}, parameter::fast_weight, rank, 0.25, place};
}

struct Named {
  std::vector<std::string> names;
  std::vector<Tensor<double>> tensors;

  explicit Named(nn::InitialMatrix<double> matrix) {
    matrix.visit([&](std::string_view name, Tensor<double>& tensor, const ParameterInfo&) {
      names.emplace_back(name);
      tensors.push_back(tensor);
    });
  }
};

}  // namespace

TEST_CASE("an initial matrix is itself, or a product and a multiple of the identity, and knows its gradient") {
  for (const InitialPlace place : {InitialPlace::as_it_is, InitialPlace::transposed})
    for (const Index rank : {0, 2}) {
      CAPTURE(rank, place == InitialPlace::transposed);
      Store store(make(rank, place)), gradients(make(rank, place));
      initialize(store.views(), 1);
      const Named named(store.views());
      auto tensors = named.tensors;
      Matrix<double> state(1, rows * columns);
      const Matrix<double> d_state(1, rows * columns, "d");
      const auto loss = [&] {
        store.views().load(1, state.row(0));
        return numbers::inner_product(state, d_state);
      };
      loss();
      for (Index i = 0; i < rows; ++i)
        for (Index j = 0; j < columns; ++j) {
          double expected = rank > 0 && i == j ? 0.25 : 0;
          for (Index r = 0; r < rank; ++r)
            expected += tensors[0][(rows + i) * rank + r] * tensors[1][(rank + r) * columns + j];
          if (rank == 0) expected = tensors[0][(rows + i) * columns + j];
          const double found = state(0, place == InitialPlace::transposed ? j * rows + i : i * columns + j);
          REQUIRE(found == Approx(expected).epsilon(1e-12));
        }
      store.views().add_gradient(1, d_state.view().row(0), gradients.views());
      auto d_tensors = Named(gradients.views()).tensors;
      for (std::size_t i = 0; i < tensors.size(); ++i) numbers::check_tensor_gradient(tensors[i], d_tensors[i], loss);
      nn::InitialMatrix<double> unwanted = make(rank, place);
      store.views().add_gradient(1, d_state.view().row(0), unwanted);
    }
}

TEST_CASE("it has the names of its place") {
  using Names = std::vector<std::string>;
  CHECK(Named(make(0, InitialPlace::as_it_is)).names == Names{"W"});
  CHECK(Named(make(2, InitialPlace::as_it_is)).names == Names{"W.left", "W.right"});
  CHECK(Named(make(2, InitialPlace::transposed)).names == Names{"W.w_left", "W.w_right"});
}
