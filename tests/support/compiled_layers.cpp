// SPDX-License-Identifier: MIT
#define TTT_TEST_COMPILED  // defines what the others declare
#include "support/compiled_layers.hpp"
