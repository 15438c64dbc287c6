// SPDX-License-Identifier: MIT
/// @file
/// One file with everything a run needs to go on: settings as text, arrays as bytes.
///
/// Layout, numbers in the machine's byte order: magic (8 bytes, which also tells the byte order), version and length of
/// the file (uint64 each), settings (count, then name and value each), arrays (count, then name, type and bytes each),
/// and the checksum of everything before it. Strings and byte ranges are a length (uint64) and the bytes.
#pragma once

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/function_ref.hpp"
#include "ttt/core/tensor.hpp"
#include "ttt/io/atomic_file.hpp"
#include "ttt/io/checksum.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// A text that must be the same in the file and in the run that loads it.
struct CheckpointSetting {
  std::string name;
  std::string value;
  friend bool operator==(const CheckpointSetting&, const CheckpointSetting&) = default;
};

/// Values in someone else's memory, to be written or replaced.
struct CheckpointArray {
  std::string name;
  std::string type;  ///< scalar and shape, "float32 [2 x 3]"
  std::span<std::byte> bytes;
  std::int64_t largest =
      -1;  ///< of counts in int64, which a file may not exceed and which are not negative; −1: no counts
};

/// `count` scalars of storage of a tensor of that shape.
template <class Scalar>
CheckpointArray array_of(std::string name, Scalar* data, const Shape& shape, Index count) {
  static_assert(std::is_arithmetic_v<Scalar>);
  const std::string kind = std::is_floating_point_v<Scalar> ? "float" : "int";
  return {std::move(name), kind + std::to_string(8 * sizeof(Scalar)) + " " + to_string(shape),
          std::as_writable_bytes(std::span<Scalar>(data, static_cast<std::size_t>(count)))};
}

/// The shortest text that reads back as the same number.
inline std::string exact_text(double value) {
  char text[32];
  const auto end = std::to_chars(std::begin(text), std::end(text), value).ptr;
  return std::string(std::begin(text), end);
}

namespace detail {

inline constexpr std::uint64_t checkpoint_magic = 0x74706B6374747400ULL;
inline constexpr std::uint64_t checkpoint_version = 1;

/// Gives the parts of a checkpoint to `write`, one after another.
class CheckpointWriter {
 public:
  explicit CheckpointWriter(FunctionRef<void(std::span<const std::byte>)> write) : write_(write) {}

  void number(std::uint64_t value) { write_(std::as_bytes(std::span(&value, 1))); }
  void bytes(std::span<const std::byte> value) {
    number(value.size());
    write_(value);
  }
  void text(std::string_view value) { bytes(std::as_bytes(std::span(value))); }

 private:
  FunctionRef<void(std::span<const std::byte>)> write_;
};

/// Everything but the checksum, in a file of `length` bytes.
inline void write_parts(CheckpointWriter writer, std::uint64_t length, std::span<const CheckpointSetting> settings,
                        std::span<const CheckpointArray> arrays) {
  writer.number(checkpoint_magic);
  writer.number(checkpoint_version);
  writer.number(length);
  writer.number(settings.size());
  for (const auto& setting : settings) {
    writer.text(setting.name);
    writer.text(setting.value);
  }
  writer.number(arrays.size());
  for (const auto& array : arrays) {
    writer.text(array.name);
    writer.text(array.type);
    writer.bytes(array.bytes);
  }
}

/// Reads what CheckpointWriter wrote; never past the end, whatever the lengths say.
class CheckpointReader {
 public:
  CheckpointReader(std::string path, std::span<const std::byte> rest) : path_(std::move(path)), rest_(rest) {}

  std::uint64_t number() {
    std::uint64_t value = 0;
    std::memcpy(&value, take(sizeof value).data(), sizeof value);
    return value;
  }
  std::span<const std::byte> bytes() { return take(number()); }
  std::string text() {
    const auto value = bytes();
    return {reinterpret_cast<const char*>(value.data()), value.size()};
  }
  bool at_end() const { return rest_.empty(); }

 private:
  std::span<const std::byte> take(std::uint64_t size) {
    if (size > rest_.size())
      throw_unexpected(path_, std::to_string(size) + " more bytes",
                       std::to_string(rest_.size()) + " (the file is damaged)");
    const auto taken = rest_.first(static_cast<std::size_t>(size));
    rest_ = rest_.subspan(static_cast<std::size_t>(size));
    return taken;
  }

  std::string path_;
  std::span<const std::byte> rest_;
};

/// A file read and found whole, not yet compared with anything.
struct CheckpointContents {
  struct Array {
    std::string name, type;
    std::span<const std::byte> bytes;
  };
  std::vector<std::byte> file;
  std::vector<CheckpointSetting> settings;
  std::vector<Array> arrays;
};

inline void check_whole(const std::string& path, std::span<const std::byte> file) {
  constexpr std::size_t word = sizeof(std::uint64_t);
  const auto word_at = [&](std::size_t offset) { return CheckpointReader(path, file.subspan(offset, word)).number(); };
  if (file.size() < word || word_at(0) != checkpoint_magic)
    throw_unexpected(path, "a training checkpoint of this machine's byte order", "another kind of file");
  if (file.size() < 4 * word)
    throw_unexpected(path, "at least " + std::to_string(4 * word) + " bytes",
                     std::to_string(file.size()) + " (the file is truncated)");
  if (word_at(word) != checkpoint_version)
    throw_unexpected(path, "checkpoint version " + std::to_string(checkpoint_version), std::to_string(word_at(word)));
  if (word_at(2 * word) != file.size())
    throw_unexpected(path, std::to_string(word_at(2 * word)) + " bytes", std::to_string(file.size()));
  const std::uint64_t stored = word_at(file.size() - word), computed = io::checksum(file.first(file.size() - word));
  if (stored != computed)
    throw_unexpected(path, "checksum " + std::to_string(stored),
                     std::to_string(computed) + " (the file was changed after it was written)");
}

/// `name` is what messages call the bytes.
inline CheckpointContents parse_checkpoint(std::vector<std::byte> bytes, const std::string& name) {
  CheckpointContents contents{std::move(bytes), {}, {}};
  const std::span<const std::byte> file(contents.file);
  check_whole(name, file);
  constexpr std::size_t head = 3 * sizeof(std::uint64_t), tail = sizeof(std::uint64_t);
  CheckpointReader reader(name, file.subspan(head, file.size() - head - tail));
  for (std::uint64_t left = reader.number(); left > 0; --left) {
    std::string setting = reader.text();
    contents.settings.push_back({std::move(setting), reader.text()});
  }
  for (std::uint64_t left = reader.number(); left > 0; --left) {
    std::string array = reader.text(), type = reader.text();
    contents.arrays.push_back({std::move(array), std::move(type), reader.bytes()});
  }
  if (!reader.at_end()) throw_unexpected(name, "the end of the file after the last array", "more bytes");
  return contents;
}

inline CheckpointContents read_checkpoint(const std::filesystem::path& path) {
  io::InputFile input(path);
  std::vector<std::byte> bytes(input.size());
  input.read(bytes);
  return parse_checkpoint(std::move(bytes), path.string());
}

/// Throws Error where the bytes of `array` are counts out of the range that `expected` allows.
inline void check_counts(const std::string& name, const CheckpointContents::Array& array,
                         const CheckpointArray& expected) {
  if (expected.largest < 0) return;
  for (std::size_t i = 0; i + sizeof(std::int64_t) <= array.bytes.size(); i += sizeof(std::int64_t)) {
    std::int64_t count = 0;
    std::memcpy(&count, array.bytes.data() + i, sizeof(count));
    if (count < 0 || count > expected.largest)
      throw_unexpected(name + ", array '" + array.name + "'", "counts from 0 to " + std::to_string(expected.largest),
                       std::to_string(count));
  }
}

/// Compares two lists by name and value, in order; `list` names them in messages, where what was found may be anything.
template <class Found, class Expected, class NameAndValue>
void compare_lists(const std::string& path, const std::string& list, const Found& found, const Expected& expected,
                   NameAndValue name_and_value) {
  for (std::size_t i = 0; i < std::max(found.size(), expected.size()); ++i) {
    if (i >= found.size()) throw_unexpected(path, list + " '" + expected[i].name + "'", "none of that name");
    if (i >= expected.size()) throw_unexpected(path, "no further " + list, "'" + io::printable(found[i].name) + "'");
    if (found[i].name != expected[i].name)
      throw_unexpected(path, list + " '" + expected[i].name + "'", "'" + io::printable(found[i].name) + "'");
    if (name_and_value(found[i]) != name_and_value(expected[i]))
      throw_unexpected(path + ", " + list + " '" + expected[i].name + "'", name_and_value(expected[i]),
                       io::printable(name_and_value(found[i])));
  }
}

}  // namespace detail

/// Writes settings and arrays to `path`; a kill at any moment leaves the old file or the new one, whole.
inline void save_checkpoint(const std::filesystem::path& path, std::span<const CheckpointSetting> settings,
                            std::span<const CheckpointArray> arrays) {
  std::uint64_t length = sizeof(std::uint64_t);  // of the checksum
  const auto count = [&](std::span<const std::byte> part) { length += part.size(); };
  detail::write_parts(detail::CheckpointWriter(count), 0, settings, arrays);
  io::write_file_atomically(path, [&](io::OutputFile& file) {
    io::Checksum checksum;
    const auto write = [&](std::span<const std::byte> part) {
      checksum.update(part);
      file.write(part);
    };
    detail::write_parts(detail::CheckpointWriter(write), length, settings, arrays);
    const auto write_checksum = [&](std::span<const std::byte> part) { file.write(part); };
    detail::CheckpointWriter(write_checksum).number(checksum.value());
  });
}

namespace detail {

/// See `load_checkpoint`.
inline void take_arrays(const CheckpointContents& contents, const std::string& name,
                        std::span<const CheckpointSetting> settings, std::span<const CheckpointArray> arrays) {
  compare_lists(name, "setting", contents.settings, settings,
                [](const auto& setting) -> const std::string& { return setting.value; });
  compare_lists(name, "array", contents.arrays, arrays,
                [](const auto& array) { return array.type + " in " + std::to_string(array.bytes.size()) + " bytes"; });
  for (std::size_t i = 0; i < arrays.size(); ++i) check_counts(name, contents.arrays[i], arrays[i]);
  for (std::size_t i = 0; i < arrays.size(); ++i)
    if (!arrays[i].bytes.empty())
      std::memcpy(arrays[i].bytes.data(), contents.arrays[i].bytes.data(), arrays[i].bytes.size());
}

}  // namespace detail

/// Replaces the arrays by those of the file. The file must be whole, its settings equal to `settings` and its arrays of
/// the same names, types and sizes, counts in their range; otherwise an Error tells what was expected and what was
/// found, and nothing changed.
inline void load_checkpoint(const std::filesystem::path& path, std::span<const CheckpointSetting> settings,
                            std::span<const CheckpointArray> arrays) {
  detail::take_arrays(detail::read_checkpoint(path), path.string(), settings, arrays);
}

/// The settings of a checkpoint that is whole: among them "configuration", which tells what to build before loading it.
inline std::vector<CheckpointSetting> read_checkpoint_settings(const std::filesystem::path& path) {
  return detail::read_checkpoint(path).settings;
}

}  // namespace training

TTT_NAMESPACE_END
