// SPDX-License-Identifier: MIT
/// @file
/// What reads and writes model folders, compiled once as the layers are.
#pragma once

#include "support/compiled_layers.hpp"
#include "ttt/models/loaders/folder_tools.hpp"

#ifndef TTT_TEST_LOADERS
#define TTT_TEST_LOADERS extern
#endif

TTT_NAMESPACE_BEGIN

TTT_TEST_LOADERS template LoadedModel<float> load_model_folder(const std::filesystem::path&, WeightStorage);
TTT_TEST_LOADERS template LoadedModel<double> load_model_folder(const std::filesystem::path&, WeightStorage);
TTT_TEST_LOADERS template void save_model_folder(const std::filesystem::path&, const ModelConfig&,
                                                 const ParameterStore<LoadedModel<float>::Model::Parameters>&,
                                                 const FolderNotes&);
TTT_TEST_LOADERS template void save_model_folder(const std::filesystem::path&, const ModelConfig&,
                                                 const ParameterStore<LoadedModel<double>::Model::Parameters>&,
                                                 const FolderNotes&);
TTT_TEST_LOADERS template void convert_model_folder<float>(const std::filesystem::path&, const std::filesystem::path&,
                                                           const FolderConversion&);
TTT_TEST_LOADERS template FolderInspection inspect_model_folder<float>(const std::filesystem::path&);

TTT_NAMESPACE_END
