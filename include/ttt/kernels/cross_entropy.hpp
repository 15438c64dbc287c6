// SPDX-License-Identifier: MIT
#pragma once

#include <cmath>
#include <type_traits>

#include "ttt/kernels/softmax.hpp"

TTT_NAMESPACE_BEGIN

namespace kernels {

/// −log softmax(logits)[target] in nats over one row [V], and its gradient scale · (softmax(logits) − onehot(target)).
///
/// The maximum is subtracted first, so logits of any finite size are safe; for V in the tens of thousands a float row
/// keeps a relative error of 1e-6 in Σ eˣ, and so that absolute error in the loss. d_logits is assigned and may equal
/// logits; null is not wanted. `target` must lie in [0, V).
template <class Arch = simd::Native, class Scalar>
detail::Accumulator<Scalar> cross_entropy_row(const Scalar* logits, Index target, Index vocabulary,
                                              std::type_identity_t<Scalar>* d_logits,
                                              std::type_identity_t<Scalar> scale) {
  using std::log;
  TTT_ASSERT(target >= 0 && target < vocabulary, "the target lies outside of the vocabulary");
  const Scalar largest = detail::row_maximum<Arch>(logits, vocabulary), logit = logits[target];
  const auto sum =
      detail::sum_exponentials<Arch>(logits, vocabulary, largest, [&](auto value, Index i) TTT_INLINE_LAMBDA {
        if (d_logits != nullptr) value.store(d_logits + i);
      });
  if (d_logits != nullptr) {
    kernels::scale<Arch>(static_cast<Scalar>(scale / sum), d_logits, vocabulary, d_logits);
    d_logits[target] -= scale;
  }
  return log(sum) + (detail::Accumulator<Scalar>(largest) - detail::Accumulator<Scalar>(logit));
}

}  // namespace kernels

TTT_NAMESPACE_END
