// SPDX-License-Identifier: MIT
/// @file
/// What is done with whole model folders; compiled in model.cpp.
#pragma once

#include "ttt/models/loaders/folder_tools.hpp"

namespace ttt_lm {

/// ttt::inspect_model_folder<float>, and ttt::convert_model_folder.
ttt::FolderInspection inspect_model(const std::filesystem::path& folder);
void convert_model(const std::filesystem::path& from, const std::filesystem::path& to,
                   const ttt::FolderConversion& conversion);

}  // namespace ttt_lm
