// SPDX-License-Identifier: MIT
/// @file
/// The one model type of the program. What computes with it is compiled in model.cpp and layers.cpp only.
#pragma once

#include <filesystem>
#include <span>
#include <string>
#include <vector>

#include "options.hpp"
#include "ttt/core/executor.hpp"
#include "ttt/models/model_config.hpp"

namespace ttt_lm {

using ttt::Index;
using Layer = ttt::AnySequenceLayer<float>;
using Model = ttt::CausalLm<float>;
using Parameters = ttt::ParameterStore<Model::Parameters>;

/// A model with what it is and its weights.
struct LoadedModel {
  std::string family;  ///< `model_type` of its folder
  ttt::ModelConfig config;
  Model model;
  Parameters parameters;
};

/// ttt::make_model, compiled once. Throws ttt::Error for a configuration that makes no model.
Model make_model(const ttt::ModelConfig& config);

/// Reads or writes a model folder: config.json and model.safetensors. `dtype` is what the weights are kept in,
/// "float32" or "bfloat16".
LoadedModel load_model(const std::filesystem::path& folder, const std::string& dtype = "float32");
void save_model(const std::filesystem::path& folder, const ttt::ModelConfig& config, const Parameters& parameters);

/// Makes a folder and those above it, if they are not there; throws ttt::Error naming it.
void make_folder(const std::filesystem::path& folder);

/// Whether the folder holds a model.
bool has_model(const std::filesystem::path& folder);

/// "ttt-linear, mamba"; of a hybrid all layers and backbones of its pattern.
std::string describe(const ttt::ModelConfig& config);
std::string backbone_of(const ttt::ModelConfig& config);

/// Number of parameters of a model.
std::int64_t parameter_count(const Model& model);

/// Bytes of weights that decoding one token reads: all of them, of an embedding that is not the head too one row.
double decode_bytes(const Model& model, const Parameters& parameters);

/// The executor of a command and the context that uses it.
class Machine {
 public:
  explicit Machine(const CommonOptions& common);
  ttt::Context& context() { return context_; }

 private:
  ttt::ThreadPool pool_;
  ttt::Context context_;
};

/// One sequence: reads tokens and tells the logits of the next one. A single token is too little work to be shared
/// between threads, so it is read on the calling thread; the bits are the same.
class Session {
 public:
  /// `capacity` is the number of tokens that may be read, for layers whose state grows.
  Session(const Model& model, const Parameters& parameters, Index capacity, ttt::Context& context);

  /// Reads tokens, many at once in pieces of 512.
  void read(std::span<const std::int64_t> ids);
  /// Logits [V] of the token after the last one read.
  ttt::VectorView<const float> logits() const { return {logits_.data(), static_cast<Index>(logits_.size())}; }
  std::int64_t position() const { return state_.position; }

 private:
  const Model* model_;
  const Parameters* parameters_;
  ttt::Context* context_;
  ttt::Context serial_;
  Model::State state_;
  std::vector<float> logits_;
};

/// Logits [B · T × V] of ids [B × T], fed in pieces of the given lengths, over and over; none: all at once.
std::vector<float> all_logits(const LoadedModel& loaded, std::span<const std::int64_t> ids, Index rows,
                              std::span<const std::int64_t> pieces, ttt::Context& context);

/// Median microseconds of one decoded token, on one thread, after each of `positions` tokens of context, which must
/// rise.
std::vector<double> decode_microseconds(const Model& model, const Parameters& parameters,
                                        std::span<const Index> positions, ttt::Context& context);

}  // namespace ttt_lm

extern template class ttt::CausalLm<float>;
