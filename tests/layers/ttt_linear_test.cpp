// SPDX-License-Identifier: MIT
#include "ttt/layers/ttt_linear.hpp"

#include "layers/ttt_suite.hpp"

namespace {

template <class Scalar, ttt::Index HeadWidth, ttt::Index MiniBatch>
struct Family {
  using Layer = ttt::TttLinear<Scalar, HeadWidth, MiniBatch>;
};

}  // namespace

using namespace ttt;

TEST_CASE("TttLinear keeps the contracts of a sequence layer in double") { ttt_suite::contracts<Family, double>(); }

TEST_CASE("TttLinear keeps the contracts of a sequence layer in float") { ttt_suite::contracts<Family, float>(); }

TEST_CASE("TttLinear keeps the contracts in every order and from initial weights of low rank") {
  ttt_suite::contracts_of_variants<Family, double>();
  ttt_suite::contracts_of_variants<Family, float>();
}

TEST_CASE("TttLinear without queries or with initial weights of low rank has other tensors, else the published ones") {
  ttt_suite::names_of_variants<Family>();
}

TEST_CASE("TttLinear: in an exclusive order one mini-batch, or a rate of zero, is the static model") {
  ttt_suite::static_models_of_exclusive_orders<Family>();
}

TEST_CASE("TttLinear has the numbers of the published layer") {
  // README of the golden files: an independent float64 code agrees to 1e-14.
  for (const std::string backbone : {"transformer", "mamba"}) {
    ttt_golden::check_layer<TttLinear<double>>("layer/ttt_linear_" + backbone, 1e-11, 1e-11);
    ttt_golden::check_decode<TttLinear<double>>("decode/ttt_linear_" + backbone, 1e-11);
  }
}

TEST_CASE("TttLinear with sizes fixed at compile time computes what the dynamic one computes") {
  ttt_suite::static_sizes_compute_the_same<Family>();
}

TEST_CASE("TttLinear with the sizes of the published layer fixed computes what the dynamic one computes") {
  ttt_suite::published_sizes_compute_the_same<Family, float>();
  ttt_suite::published_sizes_compute_the_same<Family, double>();
}

TEST_CASE("TttLinear reads long calls in pieces with the bits of the whole") {
  ttt_suite::long_calls_have_the_bits_of_recorded_ones<Family>();
}

TEST_CASE("TttLinear reports the inner loss, which an update lowers") { ttt_suite::reports_inner_loss<Family>(); }

TEST_CASE("TttLinear reports in long calls what a recorded call reports, in the same order") {
  ttt_suite::long_calls_report_as_recorded_ones<Family>();
}

TEST_CASE("memory of a TttLinear call with statistics does not grow with its length") {
  ttt_suite::memory_of_statistics_does_not_grow<Family>();
}

TEST_CASE("TttLinear refuses what makes no layer, naming the option") {
  ttt_suite::refuses_what_makes_no_layer<Family>();
}

TEST_CASE("TttLinear keeps fewer fast weights for the backward when checkpoints are further apart") {
  ttt_suite::checkpoints_bound_memory<Family>();
}

TEST_CASE("TttLinear: a record takes what record_bytes says") {
  ttt_suite::records_take_what_record_bytes_says<Family>();
}
