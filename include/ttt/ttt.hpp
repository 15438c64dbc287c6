// SPDX-License-Identifier: MIT
/// @file
/// The whole library but what reads and writes files, which is included by name: io, models/loaders, and of training
/// and serving what has data, checkpoints or saved states.
#pragma once

#include "ttt/version.hpp"

#include "ttt/core/bfloat16.hpp"
#include "ttt/core/build_info.hpp"
#include "ttt/core/context.hpp"
#include "ttt/core/denormals.hpp"
#include "ttt/core/domain.hpp"
#include "ttt/core/eigen.hpp"
#include "ttt/core/error.hpp"
#include "ttt/core/executor.hpp"
#include "ttt/core/finite.hpp"
#include "ttt/core/inner_loss_averages.hpp"
#include "ttt/core/kernel_table.hpp"
#include "ttt/core/parameters.hpp"
#include "ttt/core/random.hpp"
#include "ttt/core/segment.hpp"
#include "ttt/core/segment_plan.hpp"
#include "ttt/core/state.hpp"
#include "ttt/core/state_position.hpp"
#include "ttt/core/statistics.hpp"

#include "ttt/kernels/causal_convolution.hpp"
#include "ttt/kernels/cross_entropy.hpp"
#include "ttt/kernels/elementary.hpp"
#include "ttt/kernels/gelu_gate.hpp"
#include "ttt/kernels/layer_norm.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/matmul_bfloat16.hpp"
#include "ttt/kernels/matmul_pairs.hpp"
#include "ttt/kernels/rms_norm.hpp"
#include "ttt/kernels/rotary.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/kernels/softmax.hpp"
#include "ttt/kernels/swiglu.hpp"

#include "ttt/rules/attention/reference.hpp"
#include "ttt/rules/delta/delta.hpp"
#include "ttt/rules/ttt_linear/ttt_linear.hpp"
#include "ttt/rules/ttt_mlp/ttt_mlp.hpp"

#include "ttt/nn/bfloat16_products.hpp"
#include "ttt/nn/embedding.hpp"
#include "ttt/nn/layer_norm.hpp"
#include "ttt/nn/linear.hpp"
#include "ttt/nn/rms_norm.hpp"
#include "ttt/nn/rotary.hpp"
#include "ttt/nn/swiglu.hpp"
#include "ttt/nn/temporal_conv.hpp"

#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/layer.hpp"
#include "ttt/layers/sequence_layer.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

#include "ttt/models/block.hpp"
#include "ttt/models/causal_lm.hpp"
#include "ttt/models/language_model.hpp"
#include "ttt/models/model_config.hpp"

#include "ttt/training/adamw.hpp"
#include "ttt/training/batch_gradient.hpp"
#include "ttt/training/clip.hpp"
#include "ttt/training/parameter_groups.hpp"
#include "ttt/training/schedule.hpp"

#include "ttt/serving/sampling.hpp"
