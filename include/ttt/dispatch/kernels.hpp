// SPDX-License-Identifier: MIT
/// @file
/// Kernels for several instruction sets in one program, the best of which is chosen when it runs:
///
///     ttt_add_kernels(my_program x86-64-v3 x86-64-v4)      # CMakeLists.txt
///
///     ttt::Context context(pool);
///     context.kernels = ttt::best_kernels();               // null on a processor that has none of them
///
/// The program itself needs no -march. Results are those of a program compiled for the chosen instruction set: contract
/// 4
/// ("one answer") holds for each of them, not between them.
#pragma once

#include <cstddef>
#include <string_view>

#include "ttt/core/kernel_table.hpp"

namespace ttt::dispatch {

/// A table and whether this processor can run it.
struct AvailableKernels {
  const KernelTable* table = nullptr;
  bool runs = false;
};

/// The units that `ttt_add_kernels` compiled into the program, weakest first; `size` of them. Defined by the file that
/// it writes.
const AvailableKernels* available_kernels(std::size_t& size);

}  // namespace ttt::dispatch

TTT_NAMESPACE_BEGIN

/// The last of the instruction sets given to `ttt_add_kernels` that this processor has; null when it has none.
inline const KernelTable* best_kernels() {
  std::size_t size = 0;
  const auto* all = dispatch::available_kernels(size);
  const KernelTable* best = nullptr;
  for (std::size_t i = 0; i < size; ++i)
    if (all[i].runs && all[i].table->version == dispatch::table_version) best = all[i].table;
  return best;
}

/// Those of one instruction set, spelled as for `ttt_add_kernels`; null when they were not compiled in or do not run
/// here.
inline const KernelTable* kernels_for(std::string_view instruction_set) {
  std::size_t size = 0;
  const auto* all = dispatch::available_kernels(size);
  for (std::size_t i = 0; i < size; ++i)
    if (all[i].runs && all[i].table->version == dispatch::table_version &&
        all[i].table->instruction_set == instruction_set)
      return all[i].table;
  return nullptr;
}

TTT_NAMESPACE_END
