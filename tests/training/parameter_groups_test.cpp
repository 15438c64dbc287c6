// SPDX-License-Identifier: MIT
#include "ttt/training/parameter_groups.hpp"

#include <array>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "training/tiny_model.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;

namespace {
using Parameters = testing::TinyModel<float>::Parameters;
ParameterStore<Parameters> make_store() {
  return ParameterStore<Parameters>(testing::TinyModel<float>{40, 7}.make_parameters());
}
}  // namespace

TEST_CASE("A glob matches whole names") {
  CHECK(matches("*", ""));
  CHECK(matches("*", "model.norm.weight"));
  CHECK(matches("model.layers.?.mlp.*", "model.layers.3.mlp.up_proj.weight"));
  CHECK_FALSE(matches("model.layers.?.mlp.*", "model.layers.13.mlp.up_proj.weight"));
  CHECK(matches("*W1", "model.layers.0.seq_modeling_block.W1"));
  CHECK_FALSE(matches("*W1", "model.layers.0.seq_modeling_block.W1.more"));
  CHECK(matches("*a*b*c", "xaybzaybc"));
  CHECK_FALSE(matches("a", "ab"));
  CHECK_FALSE(matches("ab?", "ab"));
  CHECK_FALSE(matches("", "a"));
}

TEST_CASE("Without rules the groups are those of the parameters") {
  const auto store = make_store();
  const ParameterGroups groups(store);
  REQUIRE(groups.tensors().size() == 3);
  CHECK(groups.tensors()[0].name == "embedding.weight");
  CHECK(groups.tensors()[0].decays);
  CHECK_FALSE(groups.tensors()[1].decays);
  CHECK(groups.tensors()[2].decays);
  CHECK(groups.tensors()[0].offset == 0);
  CHECK(groups.tensors()[0].size == 280);
  CHECK(groups.tensors()[1].offset == 288);       // 280 rounded up to whole 128-byte lines
  CHECK(groups.tensors()[2].size == 2 * 32 * 7);  // two panels of 32 columns
  CHECK(groups.slices().size() == 3);
}

TEST_CASE("The last matching rule holds, alone") {
  const auto store = make_store();
  const std::array<GroupRule, 3> rules{GroupRule{"*", 0.5, false, true}, GroupRule{"*.weight", 2, std::nullopt, false},
                                       GroupRule{"head.*", 3, false, false}};
  const ParameterGroups groups(store, rules);
  CHECK(groups.tensors()[0].learning_rate_factor == 2);
  CHECK(groups.tensors()[0].decays);
  CHECK_FALSE(groups.tensors()[0].frozen);
  CHECK(groups.tensors()[1].frozen);
  CHECK(groups.tensors()[2].learning_rate_factor == 3);
  CHECK_FALSE(groups.tensors()[2].decays);
  CHECK(groups.slices().size() == 2);

  auto gradients = make_store();
  unbind_frozen<Parameters>(gradients.views(), rules);
  CHECK_FALSE(gradients.views().embedding.empty());
  CHECK(gradients.views().gate.empty());
  CHECK_FALSE(gradients.views().head.empty());
}

TEST_CASE("Slices cover every tensor that is not frozen once") {
  const ParameterStore<Parameters> store(testing::TinyModel<float>{3000, 7}.make_parameters());
  const std::array<GroupRule, 1> rules{GroupRule{"head*", 1, std::nullopt, true}};
  const ParameterGroups groups(store, rules);
  std::vector<int> seen(static_cast<std::size_t>(store.arena().size()));
  for (const auto& slice : groups.slices())
    for (Index i = 0; i < slice.size; ++i) ++seen[static_cast<std::size_t>(slice.offset + i)];
  for (const auto& tensor : groups.tensors())
    for (Index i = 0; i < tensor.size; ++i)
      REQUIRE(seen[static_cast<std::size_t>(tensor.offset + i)] == (tensor.frozen ? 0 : 1));
  CHECK(groups.slices().size() == 3);  // 21000 scalars of embedding make two
}

TEST_CASE("A rule that matches nothing and a factor that is no factor are errors") {
  const auto store = make_store();
  const std::array<GroupRule, 2> unmatched{GroupRule{"head*", 1, {}, false}, GroupRule{"*.W7", 1, {}, false}};
  CHECK(error_lacks([&] { ParameterGroups(store, unmatched); }, {"'*.W7'", "'embedding.weight'"}) == "");
  const std::array<GroupRule, 1> negative{GroupRule{"head*", -1, {}, false}};
  CHECK(error_lacks([&] { ParameterGroups(store, negative); }, {"'head*'", "-1"}) == "");
}

TEST_CASE("A weight in bfloat16 cannot be trained") {
  const auto narrow = to_bfloat16(make_store());
  CHECK(error_lacks([&] { ParameterGroups{narrow}; }, {"'head.weight'", "bfloat16"}) == "");
}
