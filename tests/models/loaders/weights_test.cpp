// SPDX-License-Identifier: MIT
#include "ttt/models/loaders/weights.hpp"

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "layers/ttt_golden.hpp"
#include "models/loaders/tiny_model.hpp"
#include "suites/contracts.hpp"
#include "support/catch.hpp"
#include "support/compare.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/layers/any_sequence_layer.hpp"
#include "ttt/layers/attention.hpp"
#include "ttt/layers/ttt_linear.hpp"
#include "ttt/layers/ttt_mlp.hpp"

using namespace ttt;
using ttt::testing::error_message;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;

namespace {

/// Every tensor, whatever its layout and its initial value.
template <class Parameters>
void draw(Parameters& parameters, std::uint64_t seed) {
  using Scalar = typename Parameters::Scalar;
  parameters.visit([&](std::string_view name, Tensor<Scalar>& tensor, const ParameterInfo&) {
    const RandomStream random(seed, name);
    for (Index i = 0; i < tensor.size(); ++i)
      tensor.set(i, static_cast<Scalar>(random.normal(static_cast<std::uint64_t>(i))));
  });
}

/// What is saved and loaded into other weights has the bits, those of padding too.
template <class Parameters>
void comes_back(ParameterStore<Parameters> store, const std::string& prefix = {}) {
  const TemporaryFolder folder;
  draw(store.views(), 3);
  ParameterStore<Parameters> other = store;
  save_weights(folder / "weights.safetensors", store.views(), prefix);
  draw(other.views(), 4);
  REQUIRE_FALSE(other.arena() == store.arena());
  load_weights(folder / "weights.safetensors", other.views(), prefix);
  CHECK(other.arena() == store.arena());
}

template <class Layer>
void layer_comes_back(const Layer& layer) {
  const ParameterStore store(layer.make_parameters());
  comes_back(store);
  comes_back(store, "model.layers.7.seq_modeling_block.");
  if constexpr (std::is_same_v<typename Layer::Scalar, float>) comes_back(to_bfloat16(store));
}

// Widths that fill no panel.
template <class Scalar>
void every_layer_comes_back() {
  for (const bool mamba : {false, true}) {
    TttConfig config{.width = 36, .heads = 3, .mini_batch = 5};
    config.gate = config.share_query_key = mamba;
    layer_comes_back(TttLinear<Scalar>(config));
    layer_comes_back(TttMlp<Scalar>(config));
    layer_comes_back(AnySequenceLayer<Scalar>(TttLinear<Scalar>(config)));
    std::vector<StackLayer<Scalar>> block;
    append_block(block, {36, 50, mamba}, AnySequenceLayer(TttLinear<Scalar>(config)));
    comes_back(ParameterStore(Stack(block).make_parameters()));
  }
  layer_comes_back(Attention<Scalar>({.width = 36, .heads = 6, .key_value_heads = 2}));
  layer_comes_back(Attention<Scalar>({.width = 36, .heads = 6, .window = 4, .memory = AttentionMemory::ring}));
}

/// Parameters with a weight in panels and a vector, in that order.
struct Pair {
  using Scalar = float;
  Tensor<float> weight{{35, 3}, Layout::panels}, bias{{4}};
  void visit(ParameterVisitor<float> visitor) {
    visitor("weight", weight, parameter::projection);
    visitor("bias", bias, parameter::zero);
  }
};

/// A file of tensors that a test spoils.
struct PairFile {
  struct Stored {
    io::DType dtype;
    std::vector<std::int64_t> shape;
    std::vector<std::byte> bytes;
  };
  std::map<std::string, Stored> tensors;

  /// Multiples of 1/4 that every type holds: −13 to 13.
  static double value(std::size_t i) { return (static_cast<double>(i) - 52) / 4; }

  template <class Convert>
  PairFile(io::DType dtype, Convert convert) {
    for (const auto& [name, shape] :
         {std::pair<std::string, std::vector<std::int64_t>>{"weight", {35, 3}}, {"bias", {4}}}) {
      Stored& stored = tensors[name] = {dtype, shape, {}};
      for (std::size_t i = 0; i < (name == "bias" ? 4 : 105); ++i) append(stored.bytes, convert(value(i)));
    }
  }
  PairFile() : PairFile(io::DType::F32, [](double number) { return static_cast<float>(number); }) {}

  template <class Number>
  static void append(std::vector<std::byte>& bytes, Number number) {
    const auto* from = reinterpret_cast<const std::byte*>(&number);
    bytes.insert(bytes.end(), from, from + sizeof number);
  }
  template <class Number>
  void set(const std::string& name, std::size_t index, Number number) {
    std::memcpy(tensors[name].bytes.data() + index * sizeof number, &number, sizeof number);
  }
  void write(const std::filesystem::path& path) const {
    std::vector<io::TensorSource> sources;
    for (const auto& [name, stored] : tensors) sources.push_back({name, stored.dtype, stored.shape, stored.bytes});
    io::write_safetensors(path, sources);
  }
};

/// The message of loading the file into `store`, which must change only if there is none; without the name of the file.
std::string refusal(const PairFile& file, ParameterStore<Pair> store, const std::string& prefix = {}) {
  const TemporaryFolder folder;
  const auto path = folder / "pair.safetensors";
  file.write(path);
  draw(store.views(), 5);
  const auto before = store.arena();
  std::string message = error_message([&] { load_weights(path, store.views(), prefix); });
  CHECK((store.arena() == before) == !message.empty());
  if (const auto place = message.find(path.string()); place == 0) message.erase(0, path.string().size() + 2);
  return message;
}

}  // namespace

TEST_CASE("Weights of every layer come back bit for bit, in double") { every_layer_comes_back<double>(); }

TEST_CASE("Weights of every layer come back bit for bit, in float and bfloat16") { every_layer_comes_back<float>(); }

TEST_CASE("Weights of a model come back bit for bit, and those of one of its layers go into a Layer") {
  const auto config = testing::tiny("ttt-mlp", Backbone::mamba);
  auto model = testing::parameters_of(config);
  comes_back(model);

  draw(model.views(), 6);
  const TemporaryFolder folder;
  save_weights(folder / "model.safetensors", model.views());
  Layer layer(config.block(1).make_layer<float>(config.width));
  load_weights(folder.path(), layer.parameters(), "model.layers.1.seq_modeling_block.");
  using Mixer = Residual<AnySequenceLayer<float>>::Parameters;  // the second of three residuals in the second block
  const auto expected = testing::parts_of_parameters(model.views().stack.layers[4].get<Mixer>().layer);
  const auto actual = testing::parts_of_parameters(layer.parameters());
  REQUIRE(actual.size() == expected.size());
  for (std::size_t i = 0; i < actual.size(); ++i) {
    CHECK(actual[i].name == expected[i].name);
    CHECK(actual[i].values == expected[i].values);
  }
}

TEMPLATE_TEST_CASE("Weights of the published PyTorch layers, from files and from memory, give their outputs", "", float,
                   double) {
  const auto check = [](const std::string& name, const auto& definition, double tolerance) {
    INFO(name);
    using Definition = std::remove_cvref_t<decltype(definition)>;
    const auto golden = golden::load("layer/" + name);
    const std::filesystem::path place = golden::folder() / "layer";
    const bool sharded = name.find("mlp") != std::string::npos;
    Layer<Definition> from_file(definition, 1), from_memory(definition, 2);
    load_weights(place / (name + (sharded ? ".safetensors.index.json" : ".safetensors")), from_file.parameters(),
                 "param.");
    from_file.parameters().visit([&](std::string_view parameter, const Tensor<TestType>& tensor, const ParameterInfo&) {
      const auto& values = golden.at("param." + std::string(parameter)).values;
      const std::vector<TestType> converted(values.begin(), values.end());
      from_memory.assign(parameter, tensor.shape(), converted);
      CHECK(from_file.values(parameter) == converted);
    });
    CHECK(from_memory.store().arena() == from_file.store().arena());

    const auto& x = golden.at("x");
    const Index batch = x.shape[0], tokens = x.shape[1], width = x.shape[2];
    const std::vector<TestType> inputs(x.values.begin(), x.values.end());
    std::vector<TestType> y(inputs.size());
    std::vector<typename Definition::State> states(static_cast<std::size_t>(batch), from_file.initial_state());
    std::vector<Segment<typename Definition::State>> segments;
    for (auto& state : states) segments.push_back({tokens, &state});
    Context context;
    from_file.forward({inputs.data(), batch * tokens, width}, segments, {y.data(), batch * tokens, width}, context);
    CHECK(ttt_golden::distance({y.begin(), y.end()}, golden.at("y").values) < tolerance);
  };
  // In double those of the layers' own golden tests, in float what the contracts of layers allow its rounding.
  constexpr bool wide = std::is_same_v<TestType, double>;
  constexpr double narrow = suites::value_tolerance<float>;
  for (const std::string backbone : {"transformer", "mamba"}) {
    const std::string linear = "ttt_linear_" + backbone, mlp = "ttt_mlp_" + backbone;
    check(linear, TttLinear<TestType>(ttt_golden::published_config(linear)), wide ? 1e-11 : narrow);
    check(mlp, TttMlp<TestType>(ttt_golden::published_config(mlp)), wide ? 1e-9 : narrow);
  }
}

TEST_CASE("Weights may be stored as F64, F32, F16 and BF16") {
  const TemporaryFolder folder;
  const auto loaded = [&](const PairFile& file, ParameterStore<Pair> store) {
    file.write(folder / "pair.safetensors");
    load_weights(folder / "pair.safetensors", store.views());
    return store;
  };
  const std::vector<PairFile> files{
      PairFile(io::DType::F64, [](double number) { return number; }), PairFile(),
      PairFile(io::DType::F16, [](double number) { return io::float_to_half(static_cast<float>(number)); }),
      PairFile(io::DType::BF16, [](double number) { return float_to_bfloat16(static_cast<float>(number)); })};
  for (const PairFile& file : files) {
    const auto wide = loaded(file, ParameterStore{Pair{}}),
               narrow = loaded(file, ParameterStore(with_bfloat16_weights(Pair{})));
    for (Index i = 0; i < 105; ++i) {
      REQUIRE(wide.views().weight[i] == static_cast<float>(PairFile::value(static_cast<std::size_t>(i))));
      REQUIRE(narrow.views().weight[i] == wide.views().weight[i]);
    }
    CHECK(wide.views().bias[3] == -12.25F);
  }
}

TEST_CASE("A file that is not that of the weights changes none of them, and is told why") {
  const ParameterStore store{Pair{}};
  const auto changed = [](const std::function<void(PairFile&)>& change) {
    PairFile file;
    change(file);
    return file;
  };
  CHECK(refusal(PairFile(), store) == "");
  CHECK(refusal(changed([](PairFile& file) { file.tensors.erase("bias"); }), store) ==
        "tensor 'bias': expected shape [4], found no such tensor");
  CHECK(refusal(changed([](PairFile& file) { file.tensors["conv.bias"] = file.tensors.extract("bias").mapped(); }),
                store) == "tensor 'bias': expected shape [4], found no such tensor, but 'conv.bias': another prefix?");
  CHECK(refusal(PairFile(), store, "layer.") ==
        "tensor 'layer.weight': expected shape [35, 3], found no such tensor, but 'weight': another prefix?");
  CHECK(refusal(changed([](PairFile& file) {
                  file.tensors["bias"].shape = {2, 2};
                }),
                store) == "tensor 'bias': expected shape [4], found [2, 2]");
  CHECK(refusal(changed([](PairFile& file) { file.tensors["weights"] = file.tensors["bias"]; }), store) ==
        "tensor 'weights': expected only tensors of the parameters, found one more, [4]");
  CHECK(refusal(changed([](PairFile& file) { file.tensors["bias"].dtype = io::DType::I32; }), store) ==
        "tensor 'bias': expected F32, F16, BF16, or F64 with rounding allowed, found I32");
  CHECK(refusal(changed([](PairFile& file) { file.set("bias", 2, std::numeric_limits<float>::quiet_NaN()); }), store) ==
        "tensor 'bias': expected finite numbers, found NaN or infinity at [2]");
  PairFile doubles(io::DType::F64, [](double number) { return number; });
  doubles.set("weight", 34 * 3 + 1, 1e39);
  CHECK(refusal(doubles, store) == "tensor 'weight': expected finite numbers, found NaN or infinity at [34, 1]");
  // The largest float is beyond the largest bfloat16.
  const auto large = changed([](PairFile& file) { file.set("weight", 4, std::numeric_limits<float>::max()); });
  CHECK(refusal(large, store) == "");
  CHECK(refusal(large, ParameterStore(with_bfloat16_weights(Pair{}))) ==
        "tensor 'weight': expected finite numbers, found NaN or infinity at [1, 1]");
}

TEST_CASE("Tensors behind another prefix are not looked at, those behind the prefix are") {
  const TemporaryFolder folder;
  PairFile file;
  for (const char* name : {"weight", "bias"}) {
    file.tensors["a." + std::string(name)] = file.tensors[name];
    file.tensors.erase(name);
  }
  file.tensors["b.bias"] = file.tensors["a.bias"];
  ParameterStore store{Pair{}};
  CHECK(refusal(file, store, "a.") == "");
  file.tensors["a.more"] = file.tensors["a.bias"];
  CHECK(refusal(file, store, "a.") == "tensor 'a.more': expected only tensors of the parameters, found one more, [4]");
}

TEST_CASE("What nobody could load is not saved, and the file that was there stays") {
  const TemporaryFolder folder;
  const auto path = folder / "pair.safetensors";
  ParameterStore store{Pair{}};
  save_weights(path, store.views());
  const std::string before = read_bytes(path);
  store.views().bias[1] = std::numeric_limits<float>::infinity();
  CHECK(error_message([&] { save_weights(path, store.views()); }) ==
        path.string() + ", tensor 'bias': expected finite numbers, found NaN or infinity at [1]");
  Pair nothing;
  const std::string unbound =
      "parameter 'weight': expected a tensor with memory, as a ParameterStore gives it, found none";
  CHECK(error_message([&] { save_weights(path, nothing); }) == unbound);
  CHECK(error_message([&] { load_weights(path, nothing); }) == unbound);
  CHECK(read_bytes(path) == before);
  CHECK(folder.file_count() == 1);
}

TEST_CASE("A saved file has the published names and shapes, and what Python looks for in its metadata") {
  const TemporaryFolder folder;
  const Layer<TttLinear<float>> layer({.width = 12, .heads = 3});
  save_weights(folder / "layer.safetensors", layer.parameters());
  const auto file = io::SafetensorsFile::open(folder / "layer.safetensors");
  CHECK(file.metadata() == io::Metadata{{"format", "pt"}});
  CHECK(file.at("q_proj.weight").shape == std::vector<std::int64_t>{12, 12});
  CHECK(file.at("W1").shape == std::vector<std::int64_t>{3, 4, 4});
  CHECK(file.values<float>("q_proj.weight") == layer.values("q_proj.weight"));
}
