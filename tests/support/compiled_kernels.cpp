// SPDX-License-Identifier: MIT
#define TTT_TEST_DEFINES  // defines what the others declare
#include "support/compiled_kernels.hpp"
