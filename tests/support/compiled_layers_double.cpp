// SPDX-License-Identifier: MIT
#include "support/compiled_layers.hpp"

TTT_NAMESPACE_BEGIN

TTT_TEST_LAYERS(, double);

TTT_NAMESPACE_END
