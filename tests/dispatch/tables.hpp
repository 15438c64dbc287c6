// SPDX-License-Identifier: MIT
#pragma once

#include <vector>

#include "support/catch.hpp"
#include "ttt/dispatch/kernels.hpp"

/// The tables that run on this processor, a warning for each other one: what it would have tested is not.
inline std::vector<const ttt::KernelTable*> usable_tables() {
  std::vector<const ttt::KernelTable*> tables;
  std::size_t size = 0;
  const auto* all = ttt::dispatch::available_kernels(size);
  for (std::size_t i = 0; i < size; ++i)
    if (all[i].runs)
      tables.push_back(all[i].table);
    else
      WARN("not tested: this processor does not run " << all[i].table->instruction_set);
  return tables;
}
