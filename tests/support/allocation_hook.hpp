// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

namespace ttt::testing {

/// Calls of malloc, calloc, realloc, aligned_alloc, posix_memalign, memalign and every operator new since the program
/// began, on all threads. Under a sanitizer its own allocator counts them; that of ThreadSanitizer does not see direct
/// calls of aligned_alloc and posix_memalign.
std::uint64_t allocations();

}  // namespace ttt::testing
