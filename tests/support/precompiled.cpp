// SPDX-License-Identifier: MIT
// The precompiled header of the tests belongs to the target of this file, and a target needs a source.
