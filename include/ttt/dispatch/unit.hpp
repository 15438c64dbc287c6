// SPDX-License-Identifier: MIT
/// @file
/// What a dispatch unit contains: every kernel of KernelId, compiled for the instruction set of its flags. The CMake
/// function `ttt_add_kernels` writes the units; a program includes ttt/dispatch/kernels.hpp instead.
#pragma once

#include "ttt/core/kernel_table.hpp"
#include "ttt/dispatch/rules.hpp"
#include "ttt/kernels/activation.hpp"
#include "ttt/kernels/causal_convolution.hpp"
#include "ttt/kernels/cross_entropy.hpp"
#include "ttt/kernels/decay.hpp"
#include "ttt/kernels/l2_norm.hpp"
#include "ttt/kernels/layer_norm.hpp"
#include "ttt/kernels/matmul.hpp"
#include "ttt/kernels/matmul_bfloat16.hpp"
#include "ttt/kernels/matmul_pairs.hpp"
#include "ttt/kernels/rms_norm.hpp"
#include "ttt/kernels/rotary.hpp"
#include "ttt/kernels/rows.hpp"
#include "ttt/kernels/scale_heads.hpp"
#include "ttt/kernels/unit_silu.hpp"
#include "ttt/rules/attention/backward.hpp"
#include "ttt/rules/attention/forward.hpp"

TTT_NAMESPACE_BEGIN

namespace detail {

class KernelTableBuilder {
 public:
  consteval explicit KernelTableBuilder(const char* instruction_set);
  consteval KernelTable table() const { return table_; }

 private:
  using Arch = simd::Native;

  template <class Scalar>
  consteval void add_kernels() {
    add<Scalar, KernelId::panel_matmul, kernels::panel_matmul<Arch, Scalar>>();
    add<Scalar, KernelId::bfloat16_matmul, kernels::bfloat16_matmul<Arch>>();
    add<Scalar, KernelId::matmul_to_panels, &kernels::matmul_to_panels<Arch, Scalar>>();
    add<Scalar, KernelId::transpose, &kernels::transpose<Scalar>>();
    add<Scalar, KernelId::matmul_pairs, &kernels::matmul_pairs<Arch>>();
    add<Scalar, KernelId::pair_panels, &kernels::pair_panels<Arch>>();
    add<Scalar, KernelId::layer_norm, &kernels::layer_norm<Arch, Scalar>>();
    add<Scalar, KernelId::layer_norm_row_backward, &kernels::layer_norm_row_backward<Arch, Scalar>>();
    add<Scalar, KernelId::rms_norm, &kernels::rms_norm<Arch, Scalar>>();
    add<Scalar, KernelId::rms_norm_row_backward, &kernels::rms_norm_row_backward<Arch, Scalar>>();
    add<Scalar, KernelId::activate_rows, &kernels::activate_rows<Arch, Scalar>>();
    add<Scalar, KernelId::activate_rows_backward, &kernels::activate_rows_backward<Arch, Scalar>>();
    add<Scalar, KernelId::gate_rows, &kernels::gate_rows<Arch, Scalar>>();
    add<Scalar, KernelId::gate_rows_backward, &kernels::gate_rows_backward<Arch, Scalar>>();
    add<Scalar, KernelId::l2_norm, &kernels::l2_norm<Arch, Scalar>>();
    add<Scalar, KernelId::l2_norm_backward, &kernels::l2_norm_backward<Arch, Scalar>>();
    add<Scalar, KernelId::unit_silu, &kernels::unit_silu<Arch, Scalar>>();
    add<Scalar, KernelId::unit_silu_backward, &kernels::unit_silu_backward<Arch, Scalar>>();
    add<Scalar, KernelId::decay_rows, &kernels::decay_rows<Arch, Scalar>>();
    add<Scalar, KernelId::decay_rows_backward, &kernels::decay_rows_backward<Arch, Scalar>>();
    add<Scalar, KernelId::scan_rates, &kernels::scan_rates<Arch, Scalar>>();
    add<Scalar, KernelId::scale_heads, &kernels::scale_heads<Arch, Scalar>>();
    add<Scalar, KernelId::scale_heads_backward, &kernels::scale_heads_backward<Arch, Scalar>>();
    add<Scalar, KernelId::add_scaled_heads, &kernels::add_scaled_heads<Arch, Scalar>>();
    add<Scalar, KernelId::causal_convolution, &kernels::causal_convolution<Arch, Scalar>>();
    add<Scalar, KernelId::causal_convolution_backward, &kernels::causal_convolution_backward<Arch, Scalar>>();
    add<Scalar, KernelId::rotary, &kernels::rotate_heads<Arch, Scalar>>();
    add<Scalar, KernelId::add_rows, &kernels::add_rows<Arch, Scalar>>();
    add<Scalar, KernelId::cross_entropy_row, &kernels::cross_entropy_row<Arch, Scalar>>();
    add_rules(static_cast<DispatchedRules<Scalar>*>(nullptr));
    add<Scalar, KernelId::attention_forward, &rules::attention_forward<Arch, Scalar>>();
    add<Scalar, KernelId::attention_backward, &rules::attention_backward<Arch, Scalar>>();
    // Addresses of functions cannot be compared here: the sanitizers make that no constant expression.
    for (const bool added : added_[table_row<Scalar>])
      if (!added) throw "a KernelId has no kernel in this table";
  }
  template <class... Rules>
  consteval void add_rules(std::tuple<Rules...>*) {
    (add<typename Rules::Scalar, Rules::forward_kernel, &rules::rule_forward<Arch, Rules>>(), ...);
    (add<typename Rules::Scalar, Rules::backward_kernel, &rules::rule_backward<Arch, Rules>>(), ...);
  }
  template <class Scalar, KernelId id, auto Kernel>
  consteval void add() {
    if (std::exchange(added_[table_row<Scalar>][static_cast<int>(id)], true)) throw "two kernels have one KernelId";
    table_.entries[table_row<Scalar>][static_cast<int>(id)] = &KernelCall<decltype(Kernel)>::template entry<Kernel>;
  }

  KernelTable table_;
  bool added_[2][dispatch::kernel_count] = {};
};

// Behind the class, because clang 16 evaluates no member template whose body comes after the call.
consteval KernelTableBuilder::KernelTableBuilder(const char* instruction_set) {
  table_.instruction_set = instruction_set;
  table_.version = dispatch::table_version;
  add_kernels<float>();
  add_kernels<double>();
}

}  // namespace detail

/// The table of this translation unit. Constant, so that no code of the unit runs before the program has looked at its
/// processor.
consteval KernelTable make_kernel_table(const char* instruction_set) {
  return detail::KernelTableBuilder(instruction_set).table();
}

TTT_NAMESPACE_END
