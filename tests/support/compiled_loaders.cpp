// SPDX-License-Identifier: MIT
#define TTT_TEST_LOADERS  // defines what the others declare
#include "support/compiled_loaders.hpp"
