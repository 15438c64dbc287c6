// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/random.hpp"
#include "ttt/io/checksum.hpp"
#include "ttt/training/data/documents.hpp"
#include "ttt/training/data/text_encoding.hpp"

TTT_NAMESPACE_BEGIN

namespace training {

/// Which part of each text is for what. Parts are of bytes, whatever the tokens are.
enum class Split {
  training,    ///< nine tenths for training, the last tenth for validation
  validation,  ///< that last tenth for validation; the rest is not kept
  whole        ///< all for validation
};

/// L + 1 consecutive tokens of one document: L ids and, one token later, their L targets.
struct Window {
  Index document = 0;
  Index first = 0;
  Index length = 0;  ///< L: the context T, or the rest of a document
  friend bool operator==(const Window&, const Window&) = default;
};

/// Texts as tokens: bytes, or what an encoding makes of them. The parts of a document for training and for validation
/// are encoded apart; no window crosses the border between them or a document's end.
class Corpus {
 public:
  /// Loads files and folders (recursively, sorted by path) for windows of `context` tokens. A named file that is binary
  /// (a NUL byte), empty, unreadable or too short is an Error; inside a folder such files are skipped and listed. Too
  /// short for training is a file without one window, for the other splits one without a token to read and one to
  /// predict. Nothing left is an Error too.
  static Corpus load(std::span<const std::filesystem::path> paths, Index context, TextEncoding encoding = {},
                     Split split = Split::training) {
    Corpus corpus(context, std::move(encoding), split);
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
  static Corpus from_documents(std::vector<Document> documents, Index context, TextEncoding encoding = {},
                               Split split = Split::training) {
    Corpus corpus(context, std::move(encoding), split);
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
  std::string_view training_text(const Document& document) const {
    return std::string_view(document.text).substr(0, border(document));
  }
  std::string_view validation_text(const Document& document) const {
    return std::string_view(document.text).substr(border(document));
  }
  /// Bytes for training, of all documents.
  Index training_bytes() const {
    Index bytes = 0;
    for (const auto& document : documents_) bytes += static_cast<Index>(training_text(document).size());
    return bytes;
  }
  Index validation_bytes() const {
    Index bytes = 0;
    for (const auto& document : documents_) bytes += static_cast<Index>(validation_text(document).size());
    return bytes;
  }

  /// Identifies texts, their ids and order, and the context, whatever the paths: a run can only be resumed on the same.
  std::uint64_t fingerprint() const {
    io::Checksum checksum;
    const auto add = [&](const std::string& text) { checksum.update(std::as_bytes(std::span(text))); };
    add(std::to_string(context_));
    for (const auto& document : documents_) {
      add(" " + std::to_string(document.text.size()) + ":");
      add(document.text);
    }
    for (const auto& tokens : tokens_) checksum.update(std::as_bytes(std::span(tokens.ids)));
    return checksum.value();
  }

  /// The training window of row `row` in update `step`: uniform over every possible first token, the same on every
  /// machine.
  Window sample(std::uint64_t seed, std::int64_t step, Index row) const {
    require_training_text();
    const RandomStream random(seed, "training window " + std::to_string(row));
    const auto start =
        static_cast<Index>(random.bits(static_cast<std::uint64_t>(step)) % static_cast<std::uint64_t>(starts_.back()));
    return locate(starts_, start);
  }

  /// Number of training windows laid end to end, each starting where the one before ended.
  Index stream_windows() const {
    require_training_text();
    return windows_.back();
  }
  /// Window `index` of them: within a document they are contiguous, so that a state can be carried from one to the
  /// next.
  Window stream_window(Index index) const {
    const Window place = locate(windows_, index);
    return {place.document, place.first * context_, context_};
  }
  /// Largest number of them that one document has.
  Index longest_stream() const {
    Index longest = 0;
    for (const Part& part : parts_) longest = std::max(longest, stream_windows(part));
    return longest;
  }

  /// Every validation window: each token for validation is predicted once, but for the first of a document, which is
  /// only read. The last window of a document has the rest.
  std::vector<Window> validation_windows() const {
    std::vector<Window> result;
    for (std::size_t d = 0; d < parts_.size(); ++d)
      for (Index first = parts_[d].training; first + 1 < parts_[d].all; first += context_)
        result.push_back({static_cast<Index>(d), first, std::min(context_, parts_[d].all - 1 - first)});
    return result;
  }

  /// Writes the L ids and L targets of a window. Throws Error for one that is not within a document, and for spans of
  /// another length.
  void read(const Window& window, std::span<std::int64_t> ids, std::span<std::int64_t> targets) const {
    check_window(window);
    if (static_cast<Index>(ids.size()) != window.length || ids.size() != targets.size())
      throw_unexpected("ids and targets of a window", std::to_string(window.length) + " of each",
                       std::to_string(ids.size()) + " and " + std::to_string(targets.size()));
    for (std::size_t t = 0; t < ids.size(); ++t) {
      ids[t] = id(window, static_cast<Index>(t));
      targets[t] = id(window, static_cast<Index>(t) + 1);
    }
  }

  /// Bytes of the text that the targets of a window stand for. The validation windows of a document together have those
  /// of its validation text, but for the bytes of its first token. Throws Error for a window that is not within a
  /// document.
  Index target_bytes(const Window& window) const {
    check_window(window);
    if (!encoding_.encode) return window.length;
    const auto& ends = tokens_[static_cast<std::size_t>(window.document)].ends;
    return ends[static_cast<std::size_t>(window.first + window.length)] - ends[static_cast<std::size_t>(window.first)];
  }

 private:
  /// Numbers of tokens of a document.
  struct Part {
    Index training = 0, all = 0;
  };
  struct Tokens {
    std::vector<std::uint32_t> ids;
    std::vector<Index> ends;  ///< bytes of the document up to and with each
  };

  Corpus(Index context, TextEncoding encoding, Split split)
      : context_(context), encoding_(std::move(encoding)), split_(split) {
    if (context < 1) throw_unexpected("context of the data", "at least 1 token", std::to_string(context));
  }

  static std::size_t nine_tenths(const Document& document) { return document.text.size() * 9 / 10; }
  std::size_t border(const Document& document) const { return split_ == Split::training ? nine_tenths(document) : 0; }

  void check_window(const Window& window) const {
    const bool has_document = window.document >= 0 && window.document < static_cast<Index>(parts_.size());
    const Index tokens = has_document ? parts_[static_cast<std::size_t>(window.document)].all : 0;
    if (window.first < 0 || window.length < 0 || window.first >= tokens || window.length >= tokens - window.first)
      throw_unexpected("window of document " + std::to_string(window.document),
                       "a token and those that follow it, of " + std::to_string(tokens),
                       std::to_string(window.length) + " after token " + std::to_string(window.first));
  }

  std::int64_t id(const Window& window, Index token) const {
    const auto document = static_cast<std::size_t>(window.document);
    const auto place = static_cast<std::size_t>(window.first + token);
    if (!encoding_.encode) return static_cast<unsigned char>(documents_[document].text[place]);
    return tokens_[document].ids[place];
  }

  void require_training_text() const {
    if (split_ != Split::training)
      throw_unexpected("data", "text for training", "text that was loaded for validation only");
  }

  Index stream_windows(const Part& part) const { return std::max(Index{0}, (part.training - 1) / context_); }

  /// Document and place in it of item `index`, given the items up to and with each document.
  Window locate(const std::vector<Index>& ends, Index index) const {
    const auto end = std::upper_bound(ends.begin(), ends.end(), index);
    return {end - ends.begin(), end == ends.begin() ? index : index - *std::prev(end), context_};
  }

  /// Takes a document, or says why not.
  std::string add(Document document) {
    const std::size_t size = document.text.size();
    if (size == 0) return "the file is empty";
    if (document.text.find('\0') != std::string::npos) return "the file is binary (it has a NUL byte), expected text";
    if (split_ == Split::validation) document.text.erase(0, nine_tenths(document));
    Tokens tokens;
    const Part part = encode(document, tokens);
    if (std::string reason = too_short(part, size); !reason.empty()) return reason;
    const Index starts = split_ == Split::training ? part.training - context_ : 0;
    starts_.push_back(starts + (starts_.empty() ? 0 : starts_.back()));
    windows_.push_back(stream_windows(part) + (windows_.empty() ? 0 : windows_.back()));
    parts_.push_back(part);
    if (encoding_.encode) tokens_.push_back(std::move(tokens));
    documents_.push_back(std::move(document));
    return {};
  }

  /// Why a document of so many tokens, whose file has `size` bytes, is of no use.
  std::string too_short(const Part& part, std::size_t size) const {
    const bool trains = split_ == Split::training;
    const Index found = trains ? part.training : part.all, needed = trains ? context_ + 1 : 2;
    if (found >= needed) return {};
    const char* const share = split_ == Split::training     ? "nine tenths of "
                              : split_ == Split::validation ? "the last tenth of "
                                                            : "";
    return "the file is too short: expected " + std::to_string(needed) + (encoding_.encode ? " tokens " : " bytes ") +
           (trains ? "for training (a context of " + std::to_string(context_) + ")"
                   : "(one to read and one to predict)") +
           ", found " + std::to_string(found) + " (" + share + std::to_string(size) + " bytes)";
  }

  /// Tokens of a document, and how many of them; bytes are not copied.
  Part encode(const Document& document, Tokens& tokens) const {
    if (!encoding_.encode) return {static_cast<Index>(border(document)), static_cast<Index>(document.text.size())};
    Part part;
    append(document, training_text(document), tokens);
    part.training = static_cast<Index>(tokens.ids.size());
    append(document, validation_text(document), tokens);
    part.all = static_cast<Index>(tokens.ids.size());
    return part;
  }

  void append(const Document& document, std::string_view text, Tokens& tokens) const {
    if (text.empty()) return;
    const io::EncodedText encoded = encoding_.encode(text);
    check_encoded(encoded, text, encoding_.vocabulary, document.name);
    const auto begin = text.data() - document.text.data();
    for (const std::int64_t id : encoded.ids) tokens.ids.push_back(static_cast<std::uint32_t>(id));
    for (const Index end : encoded.ends) tokens.ends.push_back(begin + end);
  }

  std::string add_file(const std::filesystem::path& path) {
    Document document;
    const std::string reason = read_document(path, document);
    return reason.empty() ? add(std::move(document)) : reason;
  }

  void add_folder(const std::filesystem::path& folder) {
    for (const auto& path : files_below(folder, skipped_))
      if (std::string reason = add_file(path); !reason.empty()) skipped_.push_back({path.string(), std::move(reason)});
  }

  void check_not_empty() const {
    if (!documents_.empty()) return;
    std::string found = "none";
    if (!skipped_.empty())
      found = std::to_string(skipped_.size()) + " unusable, such as " + skipped_.front().name + ": " +
              skipped_.front().reason;
    throw_unexpected("data",
                     split_ == Split::training
                         ? "at least one text file that holds a window of " + std::to_string(context_) + " tokens"
                         : "at least one text file with a token to read and one to predict",
                     found);
  }

  Index context_;
  TextEncoding encoding_;
  Split split_;
  std::vector<Document> documents_;
  std::vector<Part> parts_;     ///< of each document
  std::vector<Tokens> tokens_;  ///< of each document, unless they are its bytes
  std::vector<SkippedFile> skipped_;
  std::vector<Index> starts_;   ///< first tokens of training windows, up to and with each document
  std::vector<Index> windows_;  ///< windows end to end, up to and with each document
};

}  // namespace training

TTT_NAMESPACE_END
