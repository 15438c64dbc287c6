// SPDX-License-Identifier: MIT
// A model folder behind a few C functions, which bench/beside_llama_cpp.py calls in turn with those of llama.cpp.
#include <cstdint>
#include <cstdio>
#include <exception>
#include <memory>
#include <span>

#include "ttt/core/executor.hpp"
#include "ttt/models/loaders/model_folder.hpp"

namespace {

using ttt::Index, ttt::LogitRows;

struct OpenModel {
  using State = decltype(ttt::LoadedModel<float>::model)::State;

  OpenModel(const char* folder, Index threads, Index capacity)
      : loaded(ttt::load_model_folder<float>(folder)),
        state(loaded.model.initial_state(loaded.parameters.views(), capacity)),
        pool(threads) {}

  ttt::LoadedModel<float> loaded;
  State state;
  ttt::ThreadPool pool;
  ttt::Context context{pool};
};

}  // namespace

/// Null, with the reason on stderr, if the folder cannot be opened; the model stays open until the process ends.
extern "C" OpenModel* model_open(const char* folder, Index threads, Index capacity) {
  try {
    return std::make_unique<OpenModel>(folder, threads, capacity).release();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return nullptr;
  }
}

extern "C" Index model_vocabulary(const OpenModel* open) { return open->loaded.model.vocabulary(); }

/// Reads `count` ids, from the beginning with `reset`, and assigns the logits [V] behind the last.
extern "C" void model_read(OpenModel* open, const std::int64_t* ids, Index count, bool reset, float* logits) {
  const ttt::Segment<OpenModel::State> segment{count, &open->state, reset};
  const auto& model = open->loaded.model;
  model.forward(open->loaded.parameters.views(), std::span(ids, static_cast<std::size_t>(count)), {&segment, 1},
                LogitRows::last, {logits, 1, model.vocabulary()}, open->context);
}
