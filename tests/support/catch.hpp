// SPDX-License-Identifier: MIT
/// @file
/// Catch2, version 2 or 3: one header and one set of names for the tests.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
using Catch::Approx;
#else
#include <catch2/catch.hpp>
#endif
