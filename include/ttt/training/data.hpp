// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/random.hpp"
#include "ttt/io/checksum.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// A text and the name it is known by, its path for example.
struct Document {
  std::string name;
  std::string text;
};

/// A file of a folder that was left out, and why.
struct SkippedFile {
  std::string name;
  std::string reason;
};

/// T + 1 consecutive bytes of one document: T ids and, one byte later, their T targets.
struct Window {
  Index document = 0;
  Index first = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

/// Byte-level text: ids are bytes, the vocabulary has 256. The last tenth of each document is for validation, the rest
/// for training; no window crosses the border or a document's end.
class Corpus {
 public:
  static constexpr Index vocabulary = 256;

  /// Loads files and folders (recursively, sorted by path) for windows of `context` tokens. A named file that is binary
  /// (a NUL byte), empty, unreadable or too short is an Error; inside a folder such files are skipped and listed.
  /// Nothing left is an Error too.
  static Corpus load(std::span<const std::filesystem::path> paths, Index context) {
    Corpus corpus(context);
    for (const auto& path : paths) {
      std::error_code error;
      if (std::filesystem::is_directory(path, error))
        corpus.add_folder(path);
      else if (const std::string reason = corpus.add_file(path); !reason.empty())
        throw Error(path.string() + ": " + reason);
    }
    corpus.check_not_empty();
    return corpus;
  }

  /// The same from memory; every document must be usable.
  static Corpus from_documents(std::vector<Document> documents, Index context) {
    Corpus corpus(context);
    for (auto& document : documents) {
      const std::string name = document.name;
      if (const std::string reason = corpus.add(std::move(document)); !reason.empty())
        throw Error(name + ": " + reason);
    }
    corpus.check_not_empty();
    return corpus;
  }

  Index context() const { return context_; }
  const std::vector<Document>& documents() const { return documents_; }
  const std::vector<SkippedFile>& skipped() const { return skipped_; }
  /// Bytes for training, of all documents.
  Index training_bytes() const {
    return sum([](Index size) { return training_size(size); });
  }
  Index validation_bytes() const {
    return sum([](Index size) { return size - training_size(size); });
  }

  /// Identifies texts, their order and the context, whatever the paths: a run can only be resumed on the same.
  std::uint64_t fingerprint() const {
    io::Checksum checksum;
    const auto add = [&](const std::string& text) { checksum.update(std::as_bytes(std::span(text))); };
    add(std::to_string(context_));
    for (const auto& document : documents_) {
      add(" " + std::to_string(document.text.size()) + ":");
      add(document.text);
    }
    return checksum.value();
  }

  /// The training window of row `row` in update `step`: uniform over every possible first byte, the same on every
  /// machine.
  Window sample(std::uint64_t seed, std::int64_t step, Index row) const {
    const RandomStream random(seed, "training window " + std::to_string(row));
    const auto start =
        static_cast<Index>(random.bits(static_cast<std::uint64_t>(step)) % static_cast<std::uint64_t>(starts_.back()));
    return locate(starts_, start);
  }

  /// Number of training windows laid end to end, each starting where the one before ended.
  Index stream_windows() const { return windows_.back(); }
  /// Window `index` of them: within a document they are contiguous, so that a state can be carried from one to the
  /// next.
  Window stream_window(Index index) const {
    const Window place = locate(windows_, index);
    return {place.document, place.first * context_};
  }
  /// Largest number of them that one document has.
  Index longest_stream() const {
    Index longest = 0;
    for (const auto& document : documents_) longest = std::max(longest, stream_windows(document));
    return longest;
  }

  /// Every validation window: each byte of the last tenths is predicted once, but for a rest shorter than a window.
  std::vector<Window> validation_windows() const {
    std::vector<Window> result;
    for (std::size_t d = 0; d < documents_.size(); ++d) {
      const auto size = static_cast<Index>(documents_[d].text.size());
      for (Index first = training_size(size); first + context_ < size; first += context_)
        result.push_back({static_cast<Index>(d), first});
    }
    return result;
  }

  /// Writes the T ids and T targets of a window.
  void read(const Window& window, std::span<std::int64_t> ids, std::span<std::int64_t> targets) const {
    TTT_ASSERT(static_cast<Index>(ids.size()) == context_ && ids.size() == targets.size(), "a window has T ids");
    const char* text = documents_[static_cast<std::size_t>(window.document)].text.data() + window.first;
    for (std::size_t t = 0; t < ids.size(); ++t) {
      ids[t] = static_cast<unsigned char>(text[t]);
      targets[t] = static_cast<unsigned char>(text[t + 1]);
    }
  }

 private:
  explicit Corpus(Index context) : context_(context) {
    if (context < 1) throw_unexpected("context of the data", "at least 1 token", std::to_string(context));
  }

  static Index training_size(Index size) { return size * 9 / 10; }
  Index stream_windows(const Document& document) const {
    return (training_size(static_cast<Index>(document.text.size())) - 1) / context_;
  }
  template <class Size>
  Index sum(Size size) const {
    Index total = 0;
    for (const auto& document : documents_) total += size(static_cast<Index>(document.text.size()));
    return total;
  }

  /// Document and place in it of item `index`, given the items up to and with each document.
  static Window locate(const std::vector<Index>& ends, Index index) {
    const auto end = std::upper_bound(ends.begin(), ends.end(), index);
    return {end - ends.begin(), end == ends.begin() ? index : index - *std::prev(end)};
  }

  /// Takes a document, or says why not.
  std::string add(Document document) {
    const auto size = static_cast<Index>(document.text.size());
    if (size == 0) return "the file is empty";
    if (document.text.find('\0') != std::string::npos) return "the file is binary (it has a NUL byte), expected text";
    const Index starts = training_size(size) - context_;
    if (starts < 1)
      return "the file is too short: expected " + std::to_string(context_ + 1) + " bytes for training (a context of " +
             std::to_string(context_) + "), found " + std::to_string(training_size(size)) + " (nine tenths of " +
             std::to_string(size) + ")";
    starts_.push_back(starts + (starts_.empty() ? 0 : starts_.back()));
    windows_.push_back(stream_windows(document) + (windows_.empty() ? 0 : windows_.back()));
    documents_.push_back(std::move(document));
    return {};
  }

  std::string add_file(const std::filesystem::path& path) {
    std::error_code error;
    const auto status = std::filesystem::status(path, error);
    if (status.type() == std::filesystem::file_type::not_found) return "there is no such file or folder";
    if (status.type() != std::filesystem::file_type::regular) return "expected a file or folder, found neither";
    std::ifstream file(path, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    if (!file.is_open() || file.bad()) return "the file cannot be read";
    return add({path.string(), std::move(text)});
  }

  /// Appends the files below `folder`; false when the folder cannot be read.
  bool collect(const std::filesystem::path& folder, std::vector<std::filesystem::path>& paths) {
    std::error_code error, ignored;
    std::filesystem::directory_iterator entry(folder, error);
    for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      if (!entry->is_directory(ignored))
        paths.push_back(entry->path());
      else if (entry->is_symlink(ignored))
        skipped_.push_back({entry->path().string(), "links to folders are not followed"});
      else if (!collect(entry->path(), paths))
        skipped_.push_back({entry->path().string(), "the folder cannot be read"});
    }
    return !error;
  }

  void add_folder(const std::filesystem::path& folder) {
    std::vector<std::filesystem::path> paths;
    if (!collect(folder, paths)) throw Error(folder.string() + ": the folder cannot be read");
    std::sort(paths.begin(), paths.end());
    for (const auto& path : paths)
      if (std::string reason = add_file(path); !reason.empty()) skipped_.push_back({path.string(), std::move(reason)});
  }

  void check_not_empty() const {
    if (!documents_.empty()) return;
    std::string found = "none";
    if (!skipped_.empty())
      found = std::to_string(skipped_.size()) + " unusable, such as " + skipped_.front().name + ": " +
              skipped_.front().reason;
    throw_unexpected("data", "at least one text file that holds a window of " + std::to_string(context_) + " tokens",
                     found);
  }

  Index context_;
  std::vector<Document> documents_;
  std::vector<SkippedFile> skipped_;
  std::vector<Index> starts_;   ///< first bytes of training windows, up to and with each document
  std::vector<Index> windows_;  ///< windows end to end, up to and with each document
};

}  // namespace training

TTT_NAMESPACE_END
