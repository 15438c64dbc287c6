// SPDX-License-Identifier: MIT
/// @file
/// Layers and models that many tests use, compiled once: what a test that compiles its own spends most of its time on.
#pragma once

#include "ttt/models/model_config.hpp"

#ifndef TTT_TEST_COMPILED
#define TTT_TEST_COMPILED extern
#endif

TTT_NAMESPACE_BEGIN

TTT_TEST_COMPILED template class TttLayer<rules::TttLinear<float>>;
TTT_TEST_COMPILED template class TttLayer<rules::TttLinear<double>>;
TTT_TEST_COMPILED template class TttLayer<rules::TttMlp<float>>;
TTT_TEST_COMPILED template class TttLayer<rules::TttMlp<double>>;

TTT_TEST_COMPILED template class Attention<float>;
TTT_TEST_COMPILED template class Attention<double>;

TTT_TEST_COMPILED template AnySequenceLayer<float> LayerDescription::make<float>(Index) const;
TTT_TEST_COMPILED template AnySequenceLayer<double> LayerDescription::make<double>(Index) const;

TTT_TEST_COMPILED template class CausalLm<float>;
TTT_TEST_COMPILED template class CausalLm<double>;
TTT_TEST_COMPILED template CausalLm<float> make_model(const ModelConfig&);
TTT_TEST_COMPILED template CausalLm<double> make_model(const ModelConfig&);

TTT_NAMESPACE_END
