// SPDX-License-Identifier: MIT
/// @file
/// The rules that run in the instruction set of a kernel table. Whoever passes tests/suites/sequence_rule.hpp stands
/// here, and tests/dispatch runs all of them through every table.
#pragma once

#include <tuple>

#include "ttt/rules/delta/delta.hpp"
#include "ttt/rules/large_chunk/large_chunk.hpp"
#include "ttt/rules/selective_scan/selective_scan.hpp"
#include "ttt/rules/ttt/sequence.hpp"
#include "ttt/rules/ttt_linear/ttt_linear.hpp"
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

TTT_NAMESPACE_BEGIN

/// One for each pair of kernels: the `InTable` of every rule.
template <class Scalar>
using DispatchedRules =
    std::tuple<rules::TttSequence<rules::TttLinear<Scalar>>, rules::TttSequence<rules::TttMlp<Scalar>>,
               rules::Delta<Scalar, rules::DeltaDecay::by_row, true>, rules::SelectiveScan<Scalar>,
               rules::LargeChunk<rules::InnerSwiglu<Scalar>>, rules::LargeChunk<rules::InnerLinear<Scalar>>>;

TTT_NAMESPACE_END
