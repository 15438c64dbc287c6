// SPDX-License-Identifier: MIT
#include "model.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include "folder.hpp"
#include "interrupt.hpp"

template class ttt::CausalLm<float>;

namespace ttt_lm {

namespace {

Index thread_count(const CommonOptions& common) {
  if (common.threads > 0) return common.threads;
  return std::clamp<Index>(std::thread::hardware_concurrency(), 1, ttt::ThreadPool::most_workers);
}

/// Lengths of the pieces that feed `tokens` tokens.
std::vector<Index> piece_lengths(Index tokens, std::span<const std::int64_t> pieces) {
  std::vector<Index> lengths;
  for (std::size_t i = 0; tokens > 0; ++i) {
    const Index wanted = pieces.empty() ? tokens : static_cast<Index>(pieces[i % pieces.size()]);
    lengths.push_back(std::min(tokens, wanted));
    tokens -= lengths.back();
  }
  return lengths;
}

}  // namespace

LoadedModel load_model(const std::filesystem::path& folder, const std::string& dtype) {
  auto loaded = ttt::load_model_folder<float>(
      folder, dtype == "bfloat16" ? ttt::WeightStorage::bfloat16 : ttt::WeightStorage::scalar);
  return {loaded.notes.config.at("model_type"), std::move(loaded.config), std::move(loaded.model),
          std::move(loaded.parameters)};
}

void save_model(const std::filesystem::path& folder, const ttt::ModelConfig& config, const Parameters& parameters) {
  ttt::save_model_folder(folder, config, parameters);
}

ttt::FolderInspection inspect_model(const std::filesystem::path& folder) {
  return ttt::inspect_model_folder<float>(folder);
}

void convert_model(const std::filesystem::path& from, const std::filesystem::path& to,
                   const ttt::FolderConversion& conversion) {
  ttt::convert_model_folder<float>(from, to, conversion);
}

void make_folder(const std::filesystem::path& folder) {
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) ttt::io::throw_system_error(folder, "make the folder", error.value());
}

bool has_model(const std::filesystem::path& folder) {
  std::error_code ignored;
  return std::filesystem::exists(folder / "config.json", ignored) ||
         std::filesystem::exists(folder / "model.safetensors", ignored);
}

std::string backbone_of(const ttt::ModelConfig& config) {
  std::string names;
  for (const auto& block : config.pattern)
    if (const std::string name = ttt::option_text::text(block.backbone); names.find(name) == names.npos)
      names += (names.empty() ? "" : " and ") + name;
  return names;
}

std::string describe(const ttt::ModelConfig& config) { return config.layers() + ", " + backbone_of(config); }

std::int64_t parameter_count(const Model& model) { return ttt::count(model.make_parameters()); }

double decode_bytes(const Model& model, const Parameters& parameters) {
  double bytes = 0;
  Model::Parameters views = parameters.views();
  views.visit([&](std::string_view name, ttt::Tensor<float>& tensor, const ttt::ParameterInfo&) {
    const bool one_row = name == "model.embed_tokens.weight" && views.head;
    bytes += static_cast<double>(tensor.storage_size()) * sizeof(float) /
             (one_row ? static_cast<double>(model.vocabulary()) : 1);
  });
  return bytes;
}

Machine::Machine(const CommonOptions& common) : pool_(thread_count(common)), context_(pool_) {}

Session::Session(const Model& model, const Parameters& parameters, Index capacity, ttt::Context& context)
    : model_(&model),
      parameters_(&parameters),
      context_(&context),
      state_(model.initial_state(parameters.views(), capacity)),
      logits_(static_cast<std::size_t>(model.vocabulary())) {}

void Session::read(std::span<const std::int64_t> ids) {
  constexpr std::size_t piece = 512;
  while (!ids.empty()) {
    const auto part = ids.first(std::min(piece, ids.size()));
    const std::array segments{ttt::Segment<Model::State>{static_cast<Index>(part.size()), &state_}};
    model_->forward(parameters_->views(), part, segments, ttt::LogitRows::last,
                    ttt::MatrixView<float>(logits_.data(), 1, model_->vocabulary()),
                    part.size() == 1 ? serial_ : *context_);
    ids = ids.subspan(part.size());
  }
}

std::vector<float> all_logits(const LoadedModel& loaded, std::span<const std::int64_t> ids, Index rows,
                              std::span<const std::int64_t> pieces, ttt::Context& context) {
  const Model& model = loaded.model;
  const Index tokens = rows > 0 ? static_cast<Index>(ids.size()) / rows : 0, vocabulary = model.vocabulary();
  std::vector<float> logits(ids.size() * static_cast<std::size_t>(vocabulary));
  std::vector<Model::State> states(static_cast<std::size_t>(rows),
                                   model.initial_state(loaded.parameters.views(), tokens));
  Index first = 0;
  for (const Index length : piece_lengths(tokens, pieces)) {
    std::vector<std::int64_t> part;
    std::vector<ttt::Segment<Model::State>> segments;
    for (Index row = 0; row < rows; ++row) {
      const auto start = ids.begin() + row * tokens + first;
      part.insert(part.end(), start, start + length);
      segments.push_back({length, &states[static_cast<std::size_t>(row)]});
    }
    std::vector<float> values(part.size() * static_cast<std::size_t>(vocabulary));
    model.forward(loaded.parameters.views(), part, segments, ttt::LogitRows::all,
                  ttt::MatrixView<float>(values.data(), rows * length, vocabulary), context);
    for (Index row = 0; row < rows; ++row)
      std::copy_n(values.begin() + row * length * vocabulary, length * vocabulary,
                  logits.begin() + (row * tokens + first) * vocabulary);
    first += length;
  }
  return logits;
}

std::vector<double> decode_microseconds(const Model& model, const Parameters& parameters,
                                        std::span<const Index> positions, ttt::Context& context) {
  using Clock = std::chrono::steady_clock;
  constexpr Index repetitions = 64;
  Session session(model, parameters, positions.back() + repetitions, context);
  std::vector<double> result;
  // Which tokens does not matter to the time, but all the same one would make a fast cache look better.
  const ttt::RandomStream random(0, "decode");
  const auto token = [&](Index place) {
    return static_cast<std::int64_t>(
        random.below(static_cast<std::uint64_t>(place), static_cast<std::uint64_t>(model.vocabulary())));
  };
  for (const Index position : positions) {
    std::vector<std::int64_t> ids;
    for (Index place = session.position(); place < position; ++place) ids.push_back(token(place));
    session.read(ids);
    std::vector<double> times;
    for (Index i = 0; i < repetitions; ++i) {
      const std::array id{token(position + i)};
      const auto start = Clock::now();
      session.read(id);
      times.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
      if (was_interrupted()) throw ttt::Cancelled();
    }
    std::nth_element(times.begin(), times.begin() + repetitions / 2, times.end());
    result.push_back(times[repetitions / 2]);
  }
  return result;
}

}  // namespace ttt_lm
