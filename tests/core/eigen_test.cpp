// SPDX-License-Identifier: MIT
#include "ttt/core/eigen.hpp"

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("a row-major matrix is viewed where it is") {
  Tokens<float> tokens(3, 5);
  for (Eigen::Index r = 0; r < 3; ++r)
    for (Eigen::Index c = 0; c < 5; ++c) tokens(r, c) = static_cast<float>(10 * r + c);
  const MatrixView<float> seen = view(tokens);
  CHECK(seen.data() == tokens.data());
  CHECK((seen.rows() == 3 && seen.columns() == 5 && seen.stride() == 5));
  seen(2, 4) = -1;
  CHECK(tokens(2, 4) == -1);
  const Tokens<float>& constant = tokens;
  static_assert(std::is_same_v<decltype(view(constant)), MatrixView<const float>>);
  CHECK(view(constant)(1, 3) == 13);
}

TEST_CASE("blocks, references and maps keep their strides") {
  Tokens<double> tokens = Tokens<double>::Random(6, 8);
  const auto block = view(tokens.block(1, 2, 3, 4));
  CHECK((block.rows() == 3 && block.columns() == 4 && block.stride() == 8));
  CHECK(block(2, 3) == tokens(3, 5));
  Eigen::Ref<Tokens<double>> reference(tokens.middleRows(2, 3));
  CHECK(view(reference).row(1) == tokens.data() + 3 * 8);
  Eigen::Map<Tokens<double>, Eigen::Unaligned, Eigen::OuterStride<>> strided(tokens.data() + 1, 2, 3,
                                                                             Eigen::OuterStride<>(16));
  CHECK(view(strided).stride() == 16);
  CHECK(view(strided)(1, 2) == tokens(2, 3));
  const Eigen::Matrix<double, 1, 8> vector = tokens.row(0);
  CHECK((view(vector).rows() == 1 && view(vector).columns() == 8));
}

TEST_CASE("a column-major [C x T] matrix has the bytes of row-major tokens [T x C]") {
  Eigen::MatrixXd channels = Eigen::MatrixXd::Random(4, 7);
  const auto tokens = view(as_tokens(channels));
  CHECK(tokens.data() == channels.data());
  CHECK((tokens.rows() == 7 && tokens.columns() == 4));
  CHECK(tokens(5, 2) == channels(2, 5));
  const auto part = view(as_tokens(channels.block(1, 2, 3, 4)));
  CHECK((part.rows() == 4 && part.columns() == 3 && part.stride() == 4));
  CHECK(part(3, 2) == channels(3, 5));
  const Eigen::MatrixXd& constant = channels;
  static_assert(std::is_same_v<decltype(view(as_tokens(constant))), MatrixView<const double>>);
  CHECK(view(as_tokens(constant))(0, 3) == channels(3, 0));
}

TEST_CASE("a view is mapped where it is") {
  double memory[24];
  for (int i = 0; i < 24; ++i) memory[i] = i;
  const MatrixView<double> some(memory + 1, 3, 4, 7);
  auto mapped = map(some);
  CHECK((mapped.rows() == 3 && mapped.cols() == 4));
  CHECK(mapped(2, 3) == 18);
  mapped *= 2;
  CHECK(memory[18] == 36);
  CHECK(memory[5] == 5);
  CHECK(map(MatrixView<const double>(some)).sum() == mapped.sum());
  CHECK(view(mapped).stride() == 7);
}
