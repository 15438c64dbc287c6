// SPDX-License-Identifier: MIT
/// @file
/// The layers that configurations, model folders and command lines can name: the one place where a layer has a name. A
/// new one is a struct below and its entry in LayerKinds.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/gated_delta_net.hpp"
#include "ttt/layers/gated_linear_attention.hpp"
#include "ttt/layers/gated_short_convolution.hpp"
#include "ttt/layers/kimi_delta_attention.hpp"
#include "ttt/layers/lact.hpp"
#include "ttt/layers/mamba.hpp"
#include "ttt/layers/mamba2.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

TTT_NAMESPACE_BEGIN

/// A tensor of a layer that tells how large the tables are that it is made with.
struct BoundingTensor {
  std::string name;
  Shape shape;
};

/// What every kind says, unless it says something else. A kind has a `name`, a `summary`, the `Config` that its options
/// are, and `Layer<Scalar>`.
template <class Options>
struct KindOfLayer {
  using Config = Options;
  /// Whether the published blocks of this layer have a temporal convolution in front (the *mamba backbone*).
  static constexpr bool temporal_conv = false;
  /// What the name alone stands for.
  static Config options() { return {}; }
  /// Tensors whose shapes bound what making the layer takes, of a configuration that may be nonsense; layers without
  /// tables have none.
  static std::vector<BoundingTensor> bounds(const Config&) { return {}; }
};

namespace kinds {

struct Ttt : KindOfLayer<TttConfig> {
  static constexpr bool temporal_conv = true;
  static std::vector<BoundingTensor> bounds(const TttConfig& config) {
    return {{config.has_queries() ? "q_proj.weight" : "v_proj.weight", {config.width, config.width}},
            {"learnable_token_idx", Shape{config.mini_batch}}};
  }
  static TttConfig of_rate(double base_learning_rate) {
    TttConfig config;
    config.heads = 1;
    config.base_learning_rate = base_learning_rate;
    return config;
  }
};

struct TttLinear : Ttt {
  static constexpr std::string_view name = "ttt-linear";
  static constexpr std::string_view summary = "TTT-Linear: a linear model learns while it reads";
  template <class Scalar>
  using Layer = ttt::TttLinear<Scalar>;
  static TttConfig options() { return of_rate(rules::TttLinear<float>::base_learning_rate); }
};

struct TttMlp : Ttt {
  static constexpr std::string_view name = "ttt-mlp";
  static constexpr std::string_view summary = "TTT-MLP: a network of two layers learns while it reads";
  template <class Scalar>
  using Layer = ttt::TttMlp<Scalar>;
  static TttConfig options() { return of_rate(rules::TttMlp<float>::base_learning_rate); }
};

struct Attention : KindOfLayer<AttentionConfig> {
  static constexpr std::string_view name = "attention";
  static constexpr std::string_view summary = "attention over everything, unless there is a window: its memory grows";
  template <class Scalar>
  using Layer = ttt::Attention<Scalar>;
  static std::vector<BoundingTensor> bounds(const AttentionConfig& config) {
    if (config.heads < 1) return {};
    return {{"q_proj.weight", {config.query_rows(), config.width}}};
  }
};

struct SlidingWindow : Attention {
  static constexpr std::string_view name = "sliding-window";
  static constexpr std::string_view summary = "attention over the last tokens: its memory is a ring";
  static AttentionConfig options() {
    AttentionConfig config;
    config.window = 128;
    config.memory = AttentionMemory::ring;
    return config;
  }
};

struct GatedDeltaNet : KindOfLayer<GatedDeltaNetConfig> {
  static constexpr std::string_view name = "gated-delta-net";
  static constexpr std::string_view summary = "Gated DeltaNet: a matrix is corrected towards what it reads, and fades";
  template <class Scalar>
  using Layer = ttt::GatedDeltaNet<Scalar>;
};

struct KimiDeltaAttention : KindOfLayer<KimiDeltaAttentionConfig> {
  static constexpr std::string_view name = "kimi-delta-attention";
  static constexpr std::string_view summary = "Kimi Delta Attention: Gated DeltaNet whose matrix fades row by row";
  template <class Scalar>
  using Layer = ttt::KimiDeltaAttention<Scalar>;
};

struct GatedLinearAttention : KindOfLayer<GatedLinearAttentionConfig> {
  static constexpr std::string_view name = "gated-linear-attention";
  static constexpr std::string_view summary =
      "gated linear attention: a matrix adds up what it reads, and fades row by row";
  template <class Scalar>
  using Layer = ttt::GatedLinearAttention<Scalar>;
};

struct LinearAttention : GatedLinearAttention {
  static constexpr std::string_view name = "linear-attention";
  static constexpr std::string_view summary = "linear attention: a matrix adds up what it reads";
  static GatedLinearAttentionConfig options() {
    GatedLinearAttentionConfig config;
    config.feature_map = kernels::Activation::elu_plus_one;
    config.decay = config.gate = false;
    return config;
  }
};

struct Mamba2 : KindOfLayer<Mamba2Config> {
  static constexpr std::string_view name = "mamba2";
  static constexpr std::string_view summary = "Mamba-2: a matrix adds up what it reads, and fades";
  template <class Scalar>
  using Layer = ttt::Mamba2<Scalar>;
};

struct Mamba : KindOfLayer<MambaConfig> {
  static constexpr std::string_view name = "mamba";
  static constexpr std::string_view summary = "Mamba: a selective scan of every channel";
  template <class Scalar>
  using Layer = ttt::Mamba<Scalar>;
};

struct GatedShortConvolution : KindOfLayer<GatedShortConvolutionConfig> {
  static constexpr std::string_view name = "gated-short-convolution";
  static constexpr std::string_view summary = "a gated convolution over the last tokens, as beside attention in LFM2";
  template <class Scalar>
  using Layer = ttt::GatedShortConvolution<Scalar>;
};

struct Lact : KindOfLayer<LactConfig> {
  static constexpr std::string_view name = "lact";
  static constexpr std::string_view summary =
      "LaCT: a network learns in large chunks, attention over a window beside it";
  template <class Scalar>
  using Layer = ttt::Lact<Scalar>;
  static std::vector<BoundingTensor> bounds(const LactConfig& config) {
    return {{"qkv.weight", {3 * config.width, config.width}}};
  }
};

}  // namespace kinds

/// The options of some layer.
using LayerOptions =
    std::variant<TttConfig, AttentionConfig, GatedDeltaNetConfig, KimiDeltaAttentionConfig, GatedLinearAttentionConfig,
                 Mamba2Config, MambaConfig, LactConfig, GatedShortConvolutionConfig>;

/// A list of kinds.
template <class... Kinds>
struct KindList {
  static constexpr std::array<std::string_view, sizeof...(Kinds)> names{Kinds::name...};

  /// "ttt-linear, ttt-mlp, …", for messages.
  static std::string known() {
    std::string text;
    for (const std::string_view name : names) text += (text.empty() ? "" : ", ") + std::string(name);
    return text;
  }
  /// Calls use(kind) with an object of the kind called `name`, and returns what it does. Throws Error for a name that
  /// is none.
  template <class Use>
  static auto with(std::string_view name, Use&& use) {
    using Result = decltype((use(Kinds{}), ...));
    std::optional<Result> result;
    ((name == Kinds::name && (result.emplace(use(Kinds{})), true)) || ...);
    if (!result) throw_unexpected("layer", "one of " + known(), "'" + std::string(name) + "'");
    return *std::move(result);
  }
};

using LayerKinds =
    KindList<kinds::TttLinear, kinds::TttMlp, kinds::Attention, kinds::SlidingWindow, kinds::GatedDeltaNet,
             kinds::KimiDeltaAttention, kinds::GatedLinearAttention, kinds::LinearAttention, kinds::Mamba2,
             kinds::Mamba, kinds::Lact, kinds::GatedShortConvolution>;

TTT_NAMESPACE_END
