// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "ttt/models/loaders/model_folder.hpp"

TTT_NAMESPACE_BEGIN

/// A tensor that a folder has, or should have.
struct TensorInspection {
  /// What was found, in the words of a report.
  enum class Status { good, missing, shape, values, extra, tied, derived };

  std::string name;
  std::string type;                 ///< as the file calls it; empty: missing
  std::vector<std::int64_t> shape;  ///< as stored; missing: as it should be
  Status status = Status::good;     ///< tied and derived: says nothing new, or not what it should
  std::string problem;              ///< one line; empty: none
};

/// "ok", "missing", …
inline std::string_view status_text(TensorInspection::Status status) {
  constexpr std::array<std::string_view, 7> texts{"ok", "missing", "shape", "values", "extra", "tied", "derived"};
  return texts[static_cast<std::size_t>(status)];
}

/// A folder whose every tensor is accounted for.
struct FolderInspection {
  std::string model_type;
  ModelConfig config;
  std::vector<TensorInspection> tensors;  ///< in the order of the model, then what no model has

  std::size_t problem_count() const {
    return static_cast<std::size_t>(
        std::count_if(tensors.begin(), tensors.end(), [](const auto& tensor) { return !tensor.problem.empty(); }));
  }
};

namespace loaders::detail {

/// Runs the check; an Error becomes the problem of the tensor.
template <class Check>
bool passes(TensorInspection& tensor, TensorInspection::Status status, Check&& check) {
  try {
    check();
    return true;
  } catch (const Error& error) {
    tensor.status = status;
    tensor.problem = error.what();
    return false;
  }
}

template <class Scalar>
TensorInspection inspect_expected(const io::SafetensorsSet& set, const ExpectedTensor& expected) {
  using Status = TensorInspection::Status;
  TensorInspection result{expected.name, {}, expected.shape, Status::good, {}};
  const io::TensorInfo* found = set.find(expected.name);
  if (found) result.type = found->type(), result.shape = found->shape;
  if (!passes(result, found ? Status::shape : Status::missing, [&] { check_shape(set, expected); })) return result;
  passes(result, Status::values, [&] {
    const StoredTensor stored = stored_tensor(set, expected.name);
    for_each_block<Scalar>(stored, block_size, [&](std::size_t first, std::span<const Scalar> values) {
      check_finite(values, first, stored.info->shape, stored.subject);
    });
  });
  return result;
}

inline TensorInspection inspect_other(const io::SafetensorsSet& set, const io::TensorInfo& found, bool tied,
                                      const Family& family) {
  using Status = TensorInspection::Status;
  TensorInspection result{found.name, found.type(), found.shape, Status::derived, {}};
  if (family.is_derived(found.name)) return result;
  if (tied && found.name == head_name) {
    result.status = Status::tied;
    passes(result, Status::tied, [&] { check_tied_head(set, family); });
  } else {
    passes(result, Status::extra, [&] { refuse_extra(set, found); });
  }
  return result;
}

/// Whether building the model of `config` takes no more than a small multiple of the file, so that what is wrong with a
/// tensor that usually tells can be said beside everything else.
inline bool is_bounded(const io::SafetensorsSet& set, const ModelConfig& config, const Family& family) {
  std::size_t elements = 0;
  for (const io::TensorInfo& tensor : set.tensors())
    if (tensor.dtype != io::DType::other) elements += tensor.count();
  const auto fits = [&](std::int64_t a, std::int64_t b) {
    return static_cast<std::uint64_t>(a) <= elements / static_cast<std::uint64_t>(b);
  };
  bool all_fit = fits(config.depth, config.width);
  for_each_bound(config, family, [&](const ExpectedTensor& tensor) {
    if (tensor.name != family.tensor_name(embedding_name)) all_fit &= fits(tensor.shape.front(), config.width);
  });
  return all_fit;
}

}  // namespace loaders::detail

/// Examines a folder as load_model_folder<Scalar> does and, instead of stopping at the first problem, lists what is
/// wrong with any tensor. Throws Error for what keeps its tensors from being examined: a file that cannot be read, a
/// config.json that makes no model.
template <class Scalar>
FolderInspection inspect_model_folder(const std::filesystem::path& folder) {
  namespace detail = loaders::detail;
  const detail::DescribedFolder files(folder);
  const loaders::Family& family = files.family;
  FolderInspection result{std::string(family.model_type), files.config, {}};
  if (!detail::is_bounded(files.set, result.config, family)) detail::check_sizes(files.set, result.config, family);
  const auto model = detail::make_model_of<Scalar>(result.config, files.json.file());
  const auto expected = detail::expected_tensors(model.make_parameters(), family.tensor_name);
  for (const auto& tensor : expected) result.tensors.push_back(detail::inspect_expected<Scalar>(files.set, tensor));
  detail::for_each_other(files.set, expected, [&](const io::TensorInfo& tensor) {
    result.tensors.push_back(detail::inspect_other(files.set, tensor, result.config.tied, family));
  });
  return result;
}

TTT_NAMESPACE_END
