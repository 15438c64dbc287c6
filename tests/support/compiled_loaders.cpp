// SPDX-License-Identifier: MIT
// The layers are compiled in compiled_layers.cpp: here they are only declared.
#include "support/compiled_layers.hpp"

#undef TTT_TEST_COMPILED
#define TTT_TEST_COMPILED
#include "support/compiled_loaders.hpp"
