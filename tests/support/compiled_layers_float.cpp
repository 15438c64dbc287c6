// SPDX-License-Identifier: MIT
#define TTT_TEST_LAYERS_FLOAT  // defines what the others declare
#include "support/compiled_layers.hpp"
