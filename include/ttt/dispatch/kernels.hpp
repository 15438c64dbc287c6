// SPDX-License-Identifier: MIT
/// @file
/// Kernels for several instruction sets in one program, the best of which is chosen when it runs:
///
///     ttt_add_kernels(my_program x86-64-v3 x86-64-v4)      # CMakeLists.txt
///
///     ttt::Context context(pool);
///     context.kernels = ttt::best_kernels();               // null on a processor that has none of them
///
/// The program itself needs no -march. Results are those of a program compiled for the chosen instruction set: "one
/// answer" (contract 4) holds for each of them, not between them.
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

namespace detail {

/// The last of the tables that this program and this processor can use for which `wanted(table)` holds, or null.
template <class Wanted>
const KernelTable* last_usable_kernels(Wanted&& wanted) {
  std::size_t size = 0;
  const auto* all = dispatch::available_kernels(size);
  const KernelTable* last = nullptr;
  for (std::size_t i = 0; i < size; ++i)
    if (all[i].runs && all[i].table->version == dispatch::table_version && wanted(*all[i].table)) last = all[i].table;
  return last;
}

}  // namespace detail

/// The strongest of the instruction sets given to `ttt_add_kernels` that this processor has; null when it has none.
inline const KernelTable* best_kernels() {
  return detail::last_usable_kernels([](const KernelTable&) { return true; });
}

/// Those of one instruction set, spelled as for `ttt_add_kernels`; null when they were not compiled in or do not run
/// here.
inline const KernelTable* kernels_for(std::string_view instruction_set) {
  return detail::last_usable_kernels(
      [&](const KernelTable& table) { return table.instruction_set == instruction_set; });
}

TTT_NAMESPACE_END
