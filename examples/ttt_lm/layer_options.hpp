// SPDX-License-Identifier: MIT
/// @file
/// What the command line says of layers: names with options ("attention:key_value_heads=2"), and options of the command
/// that are meant for every layer that has them.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "options.hpp"
#include "ttt/layers/layer_description.hpp"

namespace ttt_lm {

/// The layers of one block, "attention" or "attention+mamba2:state_width=16".
std::vector<std::string> side_by_side(const std::string& text);

/// The layer of `text` with the options of the command, over which those of the text go. Throws ttt::Error for a name
/// or an option that is none.
ttt::LayerDescription layer_of(const TrainingOptions& options, const std::string& text);

/// What is wrong with a text that describes the layers of a block; empty: nothing.
std::string layer_problem(const std::string& text);

/// Throws UsageError when an option was given that means nothing to any of these layers.
void check_layer_options(const std::vector<std::string>& layers, const std::set<std::string>& given);

/// Every kind of layer with its options, for help.
std::string layer_list();

}  // namespace ttt_lm
