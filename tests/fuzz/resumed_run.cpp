// SPDX-License-Identifier: MIT
// The states of every kind of layer, continued from a checkpoint of anyone: what is loaded is trained with.
#include <unistd.h>

#include <fstream>

#include "mutate.hpp"
#include "support/compiled_layers.hpp"
#include "ttt/training/trainer.hpp"

namespace {

using Layer = ttt::AnySequenceLayer<float>;
using Model = ttt::CausalLm<float>;
using namespace ttt::training;

Model make_model() {
  std::vector<Layer> layers;
  for (const auto name : ttt::LayerKinds::names) {
    ttt::LayerDescription layer(name);
    for (const auto& [option, words] : {std::pair{"mini_batch", "3"}, {"state_width", "2"}})
      if (layer.has(option)) layer.set(option, words);
    if (auto* attention = layer.find<ttt::AttentionConfig>(); attention && attention->window > 0) attention->window = 3;
    layers.push_back(layer.make<float>(4));
  }
  return {{.vocabulary = 256, .width = 4, .hidden = 4, .tied = true, .temporal_conv = true}, layers};
}

/// A run that carries its states over three windows of five tokens.
struct Run {
  Corpus corpus = Corpus::from_documents({{"text", std::string(200, 'x')}}, 5);
  Trainer<Model> trainer{make_model(), corpus, config()};
  ttt::Context context;
  std::filesystem::path file = std::filesystem::temp_directory_path() / ("ttt_fuzz_" + std::to_string(::getpid()));

  ~Run() { ::unlink(file.c_str()); }
  static TrainerConfig config() {
    TrainerConfig result;
    result.batch = 1;
    result.carry_windows = 3;
    return result;
  }
};

Run& run() {
  static Run result;
  return result;
}

/// A checkpoint that is accepted, for a mutator to begin with.
const std::string& valid_checkpoint() {
  static const std::string text = [] {
    Run fresh;
    fresh.file += "_seed";
    fresh.trainer.train_step(fresh.context);
    fresh.trainer.save(fresh.file, "fuzz");
    std::ifstream file(fresh.file, std::ios::binary);
    return std::string{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }();
  return text;
}

/// An input is a list of changes to that checkpoint, each a place (uint32) and eight bytes, whose checksum is right.
std::string changed_checkpoint(std::string_view changes) {
  constexpr std::size_t head = 24, tail = 8, change = 12;
  std::string file = valid_checkpoint();
  for (; changes.size() >= change; changes.remove_prefix(change)) {
    const std::size_t place = head + ttt_fuzz::number_at<std::uint32_t>(changes) % (file.size() - head - tail - 8);
    file.replace(place, 8, changes.substr(4, 8));
  }
  file.resize(file.size() - tail);
  return file + ttt_fuzz::number_bytes(ttt::io::checksum(std::as_bytes(std::span(file))));
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    std::ofstream(run().file, std::ios::binary) << changed_checkpoint(ttt_fuzz::taken(data, size));
    run().trainer.load(run().file, "fuzz");  // which replaces all that an earlier input has left
    run().trainer.train_step(run().context);
  });
}
