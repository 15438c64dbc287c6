// SPDX-License-Identifier: MIT
#define TTT_TEST_LAYERS_DOUBLE  // defines what the others declare
#include "support/compiled_layers.hpp"
