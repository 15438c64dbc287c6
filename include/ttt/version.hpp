// SPDX-License-Identifier: MIT
/// @file
/// The version of the library; the build system reads it from here.
#pragma once

#define TTT_VERSION_MAJOR 0
#define TTT_VERSION_MINOR 1
#define TTT_VERSION_PATCH 0
