// SPDX-License-Identifier: MIT
#include "suites/sequence_layer.hpp"

namespace ttt::suites {

template void check_any_layer(const AnySequenceLayer<float>&, const LayerCase&);
template void check_any_layer(const AnySequenceLayer<double>&, const LayerCase&);

}  // namespace ttt::suites
