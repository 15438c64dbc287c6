// SPDX-License-Identifier: MIT
/// @file
/// What can be done with a model folder besides loading it: `inspect_model_folder` says of every tensor whether it is
/// as it should be, `convert_model_folder` writes the folder as another kind or with another type of numbers.
#pragma once

#include "ttt/models/loaders/folder_tools/conversion.hpp"
#include "ttt/models/loaders/folder_tools/inspection.hpp"
