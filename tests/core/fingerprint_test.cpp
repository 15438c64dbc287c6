// SPDX-License-Identifier: MIT
#include "ttt/core/fingerprint.hpp"

#include <utility>
#include <vector>

#include "support/catch.hpp"

using namespace ttt;

TEST_CASE("fingerprints tell kinds and sizes apart, and a default one is nobody's") {
  CHECK(Fingerprint("a layer", {1, 2}) == Fingerprint("a layer", {1, 2}));
  const std::vector<Fingerprint> different{{},
                                           {"a layer", {}},
                                           {"a layer", {1, 2}},
                                           {"a layer", {2, 1}},
                                           {"a layer", {1, 2, 0}},
                                           {"a layer", {0, 1, 2}},
                                           {"another", {1, 2}},
                                           {"", {}},
                                           {"", {0}}};
  for (std::size_t i = 0; i < different.size(); ++i)
    for (std::size_t j = 0; j < different.size(); ++j) CHECK((different[i] == different[j]) == (i == j));
}

TEST_CASE("a fingerprint moves with what it is of") {
  Fingerprint mine("a layer", {1, 2});
  const Fingerprint copy = mine, moved = std::move(mine);
  CHECK(mine == Fingerprint());
  CHECK(moved == copy);
  mine = copy;
  CHECK(mine == moved);
}

TEST_CASE("fingerprints of many sizes do not meet") {
  std::vector<Fingerprint> seen;
  for (Index width = 0; width < 20; ++width)
    for (Index heads = 0; heads < 20; ++heads) seen.emplace_back("layer", std::initializer_list<Index>{width, heads});
  for (std::size_t i = 0; i < seen.size(); ++i)
    for (std::size_t j = i + 1; j < seen.size(); ++j) REQUIRE_FALSE(seen[i] == seen[j]);
}
