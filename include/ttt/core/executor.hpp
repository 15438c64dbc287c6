// SPDX-License-Identifier: MIT
/// @file
/// Executors: where the tasks of a call run.
#pragma once

#include "ttt/core/executor/base.hpp"
#include "ttt/core/executor/thread_pool.hpp"
