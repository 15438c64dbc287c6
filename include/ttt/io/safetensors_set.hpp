// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "ttt/io/safetensors.hpp"

TTT_NAMESPACE_BEGIN
namespace io {

/// Where each tensor of a sharded set lies: tensor name and file name, sorted by tensor name.
struct SafetensorsIndex {
  struct Entry {
    std::string tensor;
    std::string file;
  };
  std::vector<Entry> entries;
};

/// Reads `{"metadata": {…}, "weight_map": {tensor: file}}`; other members are refused. File names must be plain (no
/// folder, no `..`) and end in `.safetensors`. Throws Error naming `subject`, expected and found.
inline SafetensorsIndex parse_safetensors_index(std::string_view text, const std::string& subject) {
  SafetensorsIndex index;
  bool has_map = false;
  JsonReader json(text, subject);
  const auto parse_entry = [&](const std::string& tensor) {
    std::string file = json.string();
    const bool plain = file.find_first_of(std::string_view("/\\\0", 3)) == std::string::npos;
    if (!plain || file.size() <= 12 || !file.ends_with(".safetensors")) {
      json.fail("a plain file name NAME.safetensors for tensor '" + printable(tensor) + "'",
                "'" + printable(file) + "'");
    }
    index.entries.push_back({tensor, std::move(file)});
  };
  json.object(2, [&](const std::string& key) {
    if (key == "metadata") return json.skip_value(maximum_metadata_count);
    if (key != "weight_map") json.fail("'metadata' or 'weight_map'", "'" + printable(key) + "'");
    has_map = true;
    json.object(maximum_tensor_count, parse_entry);
  });
  json.finish();
  if (!has_map) throw_unexpected(subject, "a 'weight_map'", "none");
  std::sort(index.entries.begin(), index.entries.end(),
            [](const auto& a, const auto& b) { return a.tensor < b.tensor; });
  return index;
}

/// Some rows of a tensor under a name of their own.
struct TensorRows {
  std::string name;
  std::int64_t rows = 0;
};

/// Rows of a tensor that do not lie together, one range after another, under a name of their own.
struct GatheredRows {
  struct Range {
    std::int64_t first, count;
  };
  std::string name;
  std::vector<Range> ranges;

  std::int64_t rows() const {
    return std::accumulate(ranges.begin(), ranges.end(), std::int64_t{0},
                           [](std::int64_t sum, const Range& range) { return sum + range.count; });
  }
};

/// The tensors of one safetensors file, or of the files an index names, as if they were one file.
class SafetensorsSet {
 public:
  /// A single file; its name may be a symbolic link.
  static SafetensorsSet open_file(const std::filesystem::path& path, Access access = Access::copied) {
    SafetensorsSet result;
    result.path_ = path;
    result.add_file(SafetensorsFile::open(path, access));
    result.sort_tensors();
    return result;
  }

  /// The files of an index, all in its folder, each tensor exactly where the index says and no others. Throws Error
  /// naming file and tensor.
  ///
  /// An index comes from anyone, so it names nothing outside of its folder. What is in the folder is its owner's: a
  /// symbolic link there may lead anywhere, as that of a single file (the cache of Hugging Face keeps all files so).
  static SafetensorsSet open_index(const std::filesystem::path& path, Access access = Access::copied) {
    refuse_lfs_pointer(path);
    return of_index(read_text_file(path, maximum_header_size), path,
                    [&](const std::string& name) { return SafetensorsFile::open(file_beside(path, name), access); });
  }

  /// The same for the text of an index, called `path` in messages; `open_file(name)` gives each file that it names.
  template <class OpenFile>
  static SafetensorsSet of_index(std::string_view text, const std::filesystem::path& path, OpenFile open_file) {
    SafetensorsSet result;
    result.path_ = path;
    const SafetensorsIndex index = parse_safetensors_index(text, path.string());
    std::vector<std::string> names;
    for (const auto& entry : index.entries) names.push_back(entry.file);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    for (const std::string& name : names) result.add_file(open_file(name));
    result.sort_tensors();
    result.check_against(index, names);
    return result;
  }

  /// From now on the tensor `name` is not there; its rows, from the first on, are the tensors `parts`, in the same
  /// bytes. Throws Error unless they are all of its rows and their names are free.
  void split_rows(std::string_view name, std::span<const TensorRows> parts) {
    const TensorInfo whole = at(name);
    const std::size_t file_number = file_numbers_[static_cast<std::size_t>(&at(name) - tensors_.data())];
    std::int64_t left = whole.shape.empty() ? -1 : whole.shape.front();
    std::string expected;
    for (const TensorRows& part : parts) {
      if (find(part.name)) throw_unexpected(tensor_subject(part.name), "it in '" + printable(name) + "' only", "it");
      left = part.rows > left ? -1 : left - part.rows;
      expected += (expected.empty() ? "" : " + ") + std::to_string(part.rows);
    }
    if (left != 0) throw_unexpected(tensor_subject(whole.name), expected + " rows", shape_text(whole.shape));
    erase(whole.name);
    std::size_t begin = whole.begin;
    const auto rows = static_cast<std::size_t>(std::max<std::int64_t>(1, whole.shape.front()));
    const std::size_t row_size = (whole.end - whole.begin) / rows;
    for (const TensorRows& rows_of_part : parts) {
      TensorInfo& part = tensors_.emplace_back(whole);
      file_numbers_.push_back(file_number);
      part.name = rows_of_part.name;
      part.shape.front() = rows_of_part.rows;
      part.begin = std::exchange(begin, begin + static_cast<std::size_t>(rows_of_part.rows) * row_size);
      part.end = begin;
    }
    sort_tensors();
  }

  /// The same of rows that do not lie together: their bytes are copied. The ranges are inside of the tensor, each of
  /// its rows in one. Throws Error unless there are so many rows, and the names are free.
  void gather_rows(std::string_view name, std::span<const GatheredRows> parts) {
    const TensorInfo whole = at(name);
    std::int64_t expected = 0;
    for (const GatheredRows& part : parts) {
      if (find(part.name)) throw_unexpected(tensor_subject(part.name), "it in '" + printable(name) + "' only", "it");
      expected += part.rows();
    }
    if (whole.shape.empty() || whole.shape.front() != expected)
      throw_unexpected(tensor_subject(whole.name), std::to_string(expected) + " rows", shape_text(whole.shape));
    const std::span<const std::byte> from = bytes(whole);
    const std::size_t row_size = expected == 0 ? 0 : from.size() / static_cast<std::size_t>(expected);
    const std::shared_ptr<std::byte> data = SafetensorsFile::allocate(from.size());
    std::vector<TensorInfo> tensors;
    std::size_t end = 0;
    for (const GatheredRows& rows_of_part : parts) {
      TensorInfo& part = tensors.emplace_back(whole);
      part.name = rows_of_part.name;
      part.shape.front() = rows_of_part.rows();
      part.begin = end;
      for (const auto& [first, count] : rows_of_part.ranges) {
        const auto begin = static_cast<std::size_t>(first) * row_size,
                   size = static_cast<std::size_t>(count) * row_size;
        std::memcpy(data.get() + end, from.subspan(begin, size).data(), size);
        end += size;
      }
      part.end = end;
    }
    const std::filesystem::path file = file_of(name).path();
    erase(whole.name);
    add_file(SafetensorsFile(file, std::move(tensors), data, end));
    sort_tensors();
  }

  const std::filesystem::path& path() const { return path_; }

  /// All tensors, by name; their offsets count from the data of their own file.
  const std::vector<TensorInfo>& tensors() const { return tensors_; }

  /// The metadata of all files; where they disagree on a key, the first file by name decides.
  const Metadata& metadata() const { return metadata_; }

  /// The tensor of that name, or null.
  const TensorInfo* find(std::string_view name) const {
    const auto found = std::lower_bound(tensors_.begin(), tensors_.end(), name,
                                        [](const TensorInfo& info, std::string_view key) { return info.name < key; });
    return found != tensors_.end() && found->name == name ? &*found : nullptr;
  }

  /// The tensor of that name; throws Error when there is none.
  const TensorInfo& at(std::string_view name) const {
    if (const TensorInfo* info = find(name)) return *info;
    throw_unexpected(path_.string() + ", tensor '" + printable(name) + "'", "a tensor of that name", "none");
  }

  /// The file that holds the tensor `name`.
  const SafetensorsFile& file_of(std::string_view name) const {
    return files_[file_numbers_[static_cast<std::size_t>(&at(name) - tensors_.data())]];
  }

  /// The stored bytes of the tensor `info.name`; they live as long as any copy of this object.
  std::span<const std::byte> bytes(const TensorInfo& info) const { return file_of(info.name).bytes(at(info.name)); }

  /// Gives back the memory that the bytes of a mapped tensor took; they stay readable. Nothing where they are copied.
  void release(const TensorInfo& info) const { file_of(info.name).release(at(info.name)); }

  /// Assigns the elements of the tensor `name` to `out`, row-major, `[count]`; see read_tensor.
  template <TensorScalar Scalar>
  void read(std::string_view name, std::span<Scalar> out, Narrowing narrowing = Narrowing::refused) const {
    file_of(name).read(at(name), out, narrowing);
  }

  /// The elements of the tensor `name`, row-major; see read_tensor.
  template <TensorScalar Scalar>
  std::vector<Scalar> values(std::string_view name, Narrowing narrowing = Narrowing::refused) const {
    return file_of(name).template values<Scalar>(at(name), narrowing);
  }

 private:
  SafetensorsSet() = default;

  static std::filesystem::path file_beside(const std::filesystem::path& index, const std::string& name) {
    std::filesystem::path file = index.parent_path() / name;
    std::error_code error;
    if (!std::filesystem::exists(file, error))
      throw_system_error(index, "find the file '" + printable(name) + "' of the index", error ? error.value() : ENOENT);
    return file;
  }

  void add_file(SafetensorsFile file) {
    for (const TensorInfo& info : file.tensors()) {
      tensors_.push_back(info);
      file_numbers_.push_back(files_.size());
    }
    metadata_.insert(file.metadata().begin(), file.metadata().end());
    files_.push_back(std::move(file));
  }

  void erase(std::string_view name) {
    const auto place = &at(name) - tensors_.data();
    tensors_.erase(tensors_.begin() + place);
    file_numbers_.erase(file_numbers_.begin() + place);
  }

  void sort_tensors() {
    std::vector<std::size_t> order(tensors_.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t a, std::size_t b) { return tensors_[a].name < tensors_[b].name; });
    std::vector<TensorInfo> tensors;
    std::vector<std::size_t> file_numbers;
    for (const std::size_t i : order) {
      tensors.push_back(std::move(tensors_[i]));
      file_numbers.push_back(file_numbers_[i]);
    }
    tensors_ = std::move(tensors);
    file_numbers_ = std::move(file_numbers);
  }

  // Both lists are sorted by tensor name, so the first difference names what is missing or too many.
  void check_against(const SafetensorsIndex& index, const std::vector<std::string>& names) const {
    const std::size_t count = std::max(index.entries.size(), tensors_.size());
    for (std::size_t i = 0; i < count; ++i) {
      const bool listed = i < index.entries.size();
      const bool stored = i < tensors_.size();
      if (listed && (!stored || index.entries[i].tensor < tensors_[i].name)) {
        throw_unexpected(tensor_subject(index.entries[i].tensor), "it in '" + printable(index.entries[i].file) + "'",
                         "no such tensor");
      }
      const std::string& file = names[file_numbers_[i]];
      if (!listed || index.entries[i].tensor != tensors_[i].name) {
        throw_unexpected(tensor_subject(tensors_[i].name), "only tensors of the index",
                         "one more in '" + printable(file) + "'");
      }
      if (index.entries[i].file != file) {
        throw_unexpected(tensor_subject(tensors_[i].name), "it in '" + printable(index.entries[i].file) + "'",
                         "it in '" + printable(file) + "'");
      }
    }
  }

  std::string tensor_subject(const std::string& name) const {
    return path_.string() + ", tensor '" + printable(name) + "'";
  }

  std::filesystem::path path_;
  std::vector<SafetensorsFile> files_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::size_t> file_numbers_;
  Metadata metadata_;
};

/// Opens `place`, a .safetensors file or a .safetensors.index.json, or in the folder `place` the set `stem`:
/// `stem.safetensors`, else `stem.safetensors.index.json`.
inline SafetensorsSet open_set(const std::filesystem::path& place, Access access = Access::copied,
                               const std::string& stem = "model") {
  std::error_code ignored;  // what cannot be examined is reported, with its reason, when it is opened
  if (!std::filesystem::is_directory(place, ignored)) {
    return place.extension() == ".json" ? SafetensorsSet::open_index(place, access)
                                        : SafetensorsSet::open_file(place, access);
  }
  const std::filesystem::path single = place / (stem + ".safetensors");
  const std::filesystem::path index = place / (stem + ".safetensors.index.json");
  if (std::filesystem::exists(single, ignored)) return SafetensorsSet::open_file(single, access);
  if (std::filesystem::exists(index, ignored)) return SafetensorsSet::open_index(index, access);
  throw_unexpected(place.string(), "'" + stem + ".safetensors' or '" + stem + ".safetensors.index.json'", "neither");
}

}  // namespace io
TTT_NAMESPACE_END
