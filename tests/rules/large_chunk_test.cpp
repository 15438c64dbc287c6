// SPDX-License-Identifier: MIT
#include "ttt/rules/large_chunk/large_chunk.hpp"

#include "rules/large_chunk_model.hpp"
#include "suites/sequence_rule.hpp"

using namespace ttt;
using rule_tests::LargeChunkModel;
using rules::ChunkStep;

namespace {

template <class Scalar>
using Swiglu = LargeChunkModel<rules::InnerSwiglu<Scalar>>;
template <class Scalar>
using Linear = LargeChunkModel<rules::InnerLinear<Scalar>>;

}  // namespace

TEMPLATE_TEST_CASE("a large chunk keeps the contracts of a rule", "[rules][large_chunk]", float, double) {
  suites::check_sequence_rule(Swiglu<TestType>({5, 7}, 6, ChunkStep::plain));
  suites::check_sequence_rule(Swiglu<TestType>({6, 9}, 5, ChunkStep::momentum));
  suites::check_sequence_rule(Linear<TestType>(rules::InnerLinear<TestType>(6), 5, ChunkStep::momentum, false));
}

TEMPLATE_TEST_CASE("a large chunk with Muon keeps the contracts of a rule", "[rules][large_chunk]", float, double) {
  suites::check_sequence_rule(Swiglu<TestType>({4, 5}, 12, ChunkStep::muon));
  suites::check_sequence_rule(Linear<TestType>(rules::InnerLinear<TestType>(4), 12, ChunkStep::muon));
}
