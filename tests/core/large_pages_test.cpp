// SPDX-License-Identifier: MIT
#include "ttt/core/large_pages.hpp"

#include <cstdio>
#include <fstream>
#include <string>

#include "support/catch.hpp"
#include "ttt/core/storage.hpp"

using namespace ttt;

namespace {

/// What Linux says of the mapping around an address, "hg" if large pages were asked for; empty where it says nothing.
std::string mapping_flags(const void* pointer) {
  const auto address = reinterpret_cast<std::uintptr_t>(pointer);
  std::ifstream file("/proc/self/smaps");
  bool inside = false;
  for (std::string line; std::getline(file, line);) {
    unsigned long first = 0, end = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx ", &first, &end) == 2) inside = first <= address && address < end;
    if (inside && line.starts_with("VmFlags:")) return line + ' ';
  }
  return {};
}

bool asked_for_large_pages(const void* pointer) { return mapping_flags(pointer).find(" hg ") != std::string::npos; }

bool system_has_large_pages() { return std::ifstream("/sys/kernel/mm/transparent_hugepage/enabled").good(); }

}  // namespace

TEST_CASE("buffers are laid on large pages as far as they hold whole ones") {
  const Buffer<std::byte> weights(static_cast<Index>(4 * large_page)), norm(static_cast<Index>(large_page / 2));
  if (!system_has_large_pages() || mapping_flags(weights.data()).empty()) {
    WARN("this system has no large pages to ask for");
    return;
  }
  CHECK(asked_for_large_pages(weights.data() + weights.size() / 2));
  CHECK_FALSE(asked_for_large_pages(norm.data() + norm.size() / 2));
}

TEST_CASE("memory that large pages were asked for starts at zero and keeps what is written") {
  Buffer<float> values(static_cast<Index>(large_page));
  float sum = 0;
  for (Index i = 0; i < values.size(); ++i) sum += values[i];
  CHECK(sum == 0);
  for (Index i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i % 1021);
  const Buffer<float> copy = values;
  CHECK(copy == values);
}

TEST_CASE("asking for nothing, or where there is no memory, changes nothing") {
  prefer_large_pages(nullptr, 0);
  prefer_large_pages(reinterpret_cast<void*>(std::uintptr_t{1} << 46), 2 * large_page);
  SUCCEED();
}
