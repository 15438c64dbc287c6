// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/random.hpp"
#include "ttt/io/checksum.hpp"
#include "ttt/training/data/text_encoding.hpp"

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

/// T + 1 consecutive tokens of one document: T ids and, one token later, their T targets.
struct Window {
  Index document = 0;
  Index first = 0;
  friend bool operator==(const Window&, const Window&) = default;
};

/// Texts as tokens: bytes, or what an encoding makes of them. The last tenth of the bytes of each document is for
/// validation, the rest for training, whatever the tokens are; no window crosses the border or a document's end.
class Corpus {
 public:
  /// Loads files and folders (recursively, sorted by path) for windows of `context` tokens. A named file that is binary
  /// (a NUL byte), empty, unreadable or too short is an Error; inside a folder such files are skipped and listed.
  /// Nothing left is an Error too.
  static Corpus load(std::span<const std::filesystem::path> paths, Index context, TextEncoding encoding = {}) {
    Corpus corpus(context, std::move(encoding));
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
  static Corpus from_documents(std::vector<Document> documents, Index context, TextEncoding encoding = {}) {
    Corpus corpus(context, std::move(encoding));
    for (auto& document : documents) {
      const std::string name = document.name;
      if (const std::string reason = corpus.add(std::move(document)); !reason.empty())
        throw Error(name + ": " + reason);
    }
    corpus.check_not_empty();
    return corpus;
  }

  Index context() const { return context_; }
  /// Every id is below it.
  Index vocabulary() const { return encoding_.vocabulary; }
  const std::vector<Document>& documents() const { return documents_; }
  const std::vector<SkippedFile>& skipped() const { return skipped_; }
  /// The part of a document that is for training.
  static std::string_view training_text(const Document& document) {
    return std::string_view(document.text).substr(0, document.text.size() * 9 / 10);
  }
  static std::string_view validation_text(const Document& document) {
    return std::string_view(document.text).substr(document.text.size() * 9 / 10);
  }
  /// Bytes for training, of all documents.
  Index training_bytes() const { return total(training_text); }
  Index validation_bytes() const { return total(validation_text); }

  /// Identifies texts, their ids and order, and the context, whatever the paths: a run can only be resumed on the same.
  std::uint64_t fingerprint() const {
    io::Checksum checksum;
    const auto add = [&](const std::string& text) { checksum.update(std::as_bytes(std::span(text))); };
    add(std::to_string(context_));
    for (const auto& document : documents_) {
      add(" " + std::to_string(document.text.size()) + ":");
      add(document.text);
    }
    for (const auto& tokens : tokens_) checksum.update(std::as_bytes(std::span(tokens)));
    return checksum.value();
  }

  /// The training window of row `row` in update `step`: uniform over every possible first token, the same on every
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
    for (const Part& part : parts_) longest = std::max(longest, stream_windows(part));
    return longest;
  }

  /// Every validation window: each token of the last tenths is predicted once, but for a rest shorter than a window.
  std::vector<Window> validation_windows() const {
    std::vector<Window> result;
    for (std::size_t d = 0; d < parts_.size(); ++d)
      for (Index first = parts_[d].training; first + context_ < parts_[d].all; first += context_)
        result.push_back({static_cast<Index>(d), first});
    return result;
  }

  /// Writes the T ids and T targets of a window.
  void read(const Window& window, std::span<std::int64_t> ids, std::span<std::int64_t> targets) const {
    TTT_ASSERT(static_cast<Index>(ids.size()) == context_ && ids.size() == targets.size(), "a window has T ids");
    for (std::size_t t = 0; t < ids.size(); ++t) {
      ids[t] = id(window, static_cast<Index>(t));
      targets[t] = id(window, static_cast<Index>(t) + 1);
    }
  }

  /// Bytes of text that the targets of a window stand for.
  Index target_bytes(const Window& window) const {
    Index bytes = 0;
    for (Index t = 1; t <= context_; ++t) bytes += encoding_.bytes_of(id(window, t));
    return bytes;
  }

 private:
  /// Tokens of a document.
  struct Part {
    Index training = 0, all = 0;
  };

  Corpus(Index context, TextEncoding encoding) : context_(context), encoding_(std::move(encoding)) {
    if (context < 1) throw_unexpected("context of the data", "at least 1 token", std::to_string(context));
  }

  std::int64_t id(const Window& window, Index token) const {
    const auto document = static_cast<std::size_t>(window.document);
    const auto place = static_cast<std::size_t>(window.first + token);
    if (!encoding_.encode) return static_cast<unsigned char>(documents_[document].text[place]);
    return tokens_[document][place];
  }

  Index stream_windows(const Part& part) const { return (part.training - 1) / context_; }
  Index total(std::string_view (*part)(const Document&)) const {
    Index bytes = 0;
    for (const auto& document : documents_) bytes += static_cast<Index>(part(document).size());
    return bytes;
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
    std::vector<std::uint32_t> tokens;
    const Part part = encode(document, tokens);
    const Index starts = part.training - context_;
    if (starts < 1)
      return "the file is too short: expected " + std::to_string(context_ + 1) + unit() +
             " for training (a context of " + std::to_string(context_) + "), found " + std::to_string(part.training) + " (nine tenths of " +
             std::to_string(size) + " bytes)";
    starts_.push_back(starts + (starts_.empty() ? 0 : starts_.back()));
    windows_.push_back(stream_windows(part) + (windows_.empty() ? 0 : windows_.back()));
    parts_.push_back(part);
    if (encoding_.encode) tokens_.push_back(std::move(tokens));
    documents_.push_back(std::move(document));
    return {};
  }

  const char* unit() const { return encoding_.encode ? " tokens" : " bytes"; }

  /// Tokens of a document, and how many of them; bytes are not copied.
  Part encode(const Document& document, std::vector<std::uint32_t>& tokens) const {
    const auto training = training_text(document), validation = validation_text(document);
    if (!encoding_.encode) return {static_cast<Index>(training.size()), static_cast<Index>(document.text.size())};
    for (const std::int64_t token : encoding_.encode(training)) tokens.push_back(static_cast<std::uint32_t>(token));
    const auto border = static_cast<Index>(tokens.size());
    for (const std::int64_t token : encoding_.encode(validation)) tokens.push_back(static_cast<std::uint32_t>(token));
    return {border, static_cast<Index>(tokens.size())};
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
  TextEncoding encoding_;
  std::vector<Document> documents_;
  std::vector<Part> parts_;                         ///< of each document
  std::vector<std::vector<std::uint32_t>> tokens_;  ///< of each document, unless they are its bytes
  std::vector<SkippedFile> skipped_;
  std::vector<Index> starts_;   ///< first tokens of training windows, up to and with each document
  std::vector<Index> windows_;  ///< windows end to end, up to and with each document
};

}  // namespace training

TTT_NAMESPACE_END
