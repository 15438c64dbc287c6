// SPDX-License-Identifier: MIT
/// @file
/// Kernels that a program may hold several times, each compiled for another instruction set, and how one is called.
///
/// A **dispatch unit** is a translation unit compiled with the flags of one instruction set. It exports one symbol, a
/// KernelTable; a Context that carries it runs its kernels from there, whatever the caller was compiled for. What is
/// passed are the addresses of arguments, whose layout does not depend on the instruction set.
#pragma once

#include <tuple>
#include <type_traits>
#include <utility>

#include "ttt/core/config.hpp"
#include "ttt/version.hpp"

// The same types in every translation unit, so outside of the inline namespace; none has a function of its own.
namespace ttt::dispatch {

/// Every kernel that is worth a call through a pointer; each exists for float and for double.
enum class KernelId : int {
  panel_matmul,
  bfloat16_matmul,
  matmul_to_panels,
  transpose,
  matmul_pairs,
  pair_panels,
  layer_norm,
  layer_norm_row_backward,
  rms_norm,
  rms_norm_row_backward,
  activate_rows,
  activate_rows_backward,
  gate_rows,
  gate_rows_backward,
  l2_norm,
  l2_norm_backward,
  unit_silu,
  unit_silu_backward,
  decay_rows,
  decay_rows_backward,
  scan_rates,
  scale_heads,
  scale_heads_backward,
  add_scaled_heads,
  causal_convolution,
  causal_convolution_backward,
  rotary,
  add_rows,
  cross_entropy_row,
  ttt_linear_forward,
  ttt_linear_backward,
  ttt_mlp_forward,
  ttt_mlp_backward,
  delta_forward,
  delta_backward,
  selective_scan_forward,
  selective_scan_backward,
  large_chunk_swiglu_forward,
  large_chunk_swiglu_backward,
  large_chunk_linear_forward,
  large_chunk_linear_backward,
  attention_forward,
  attention_backward,
  count
};

/// Takes a std::tuple of the kernel's parameters and the address of its result, if it has one.
using Entry = void (*)(void* arguments, void* result);

inline constexpr int kernel_count = static_cast<int>(KernelId::count);

/// What a dispatch unit exports.
struct KernelTable {
  const char* instruction_set = nullptr;  ///< as the CMake function was told: "x86-64-v3"
  int version = 0;                        ///< of the library that the unit was compiled from
  Entry entries[2][kernel_count] = {};    ///< for float, for double
};

/// Units and callers of different versions may lay out arguments differently.
inline constexpr int table_version = TTT_VERSION_MAJOR * 10000 + TTT_VERSION_MINOR * 100 + TTT_VERSION_PATCH;

}  // namespace ttt::dispatch

TTT_NAMESPACE_BEGIN

using dispatch::KernelId;
using dispatch::KernelTable;

namespace detail {

template <class Scalar>
inline constexpr bool has_kernel_table = std::is_same_v<Scalar, float> || std::is_same_v<Scalar, double>;
template <class Scalar>
inline constexpr int table_row = std::is_same_v<Scalar, float> ? 0 : 1;

template <class Function>
struct KernelCall;
template <class Result, class... Parameters>
struct KernelCall<Result (*)(Parameters...)> {
  using Arguments = std::tuple<Parameters...>;

  /// The caller's side.
  template <class... Given>
  static Result through(dispatch::Entry entry, Given&&... given) {
    Arguments arguments(std::forward<Given>(given)...);
    if constexpr (std::is_void_v<Result>) {
      entry(&arguments, nullptr);
    } else {
      Result result;
      entry(&arguments, &result);
      return result;
    }
  }
  /// The unit's side.
  template <auto Kernel>
  static void entry(void* arguments, [[maybe_unused]] void* result) {
    if constexpr (std::is_void_v<Result>)
      std::apply(Kernel, *static_cast<Arguments*>(arguments));
    else
      *static_cast<Result*>(result) = std::apply(Kernel, *static_cast<Arguments*>(arguments));
  }
};

}  // namespace detail

TTT_NAMESPACE_END
