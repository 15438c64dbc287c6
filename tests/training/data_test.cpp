// SPDX-License-Identifier: MIT
#include "ttt/training/data.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt;
using namespace ttt::training;
using ttt::testing::error_lacks;
using ttt::testing::TemporaryFolder;

namespace {

/// `size` bytes in which every place is recognised by the bytes around it.
std::string text_of(Index size, char first = 'a') {
  std::string text;
  for (Index i = 0; i < size; ++i) text += static_cast<char>(first + (i * i + i / 7) % 26);
  return text;
}

Corpus load(const std::vector<std::filesystem::path>& paths, Index context) { return Corpus::load(paths, context); }

/// Two bytes a token, whose id is the first of them; a last odd byte is one of its own.
TextEncoding pairs() {
  TextEncoding encoding;
  encoding.encode = [](std::string_view text) {
    io::EncodedText encoded;
    for (std::size_t i = 0; i < text.size(); i += 2) {
      encoded.ids.push_back(static_cast<unsigned char>(text[i]));
      encoded.ends.push_back(static_cast<Index>(std::min(i + 2, text.size())));
    }
    return encoded;
  };
  return encoding;
}

}  // namespace

TEST_CASE("With an encoding windows are of its tokens, and the border is where it is for bytes") {
  const std::string text = text_of(205);
  const Corpus corpus = Corpus::from_documents({{"a", text}}, 4, pairs()),
               bytes = Corpus::from_documents({{"a", text}}, 4);
  CHECK(corpus.training_bytes() == 184);
  CHECK(corpus.validation_bytes() == 21);
  CHECK(corpus.training_text(corpus.documents()[0]) == text.substr(0, 184));
  CHECK(corpus.stream_windows() == 91 / 4);
  const auto windows = corpus.validation_windows();
  // 21 bytes are 11 tokens: two windows of 4 predictions and one of 2, the last of which is of one byte.
  REQUIRE(windows == std::vector<Window>{{0, 92, 4}, {0, 96, 4}, {0, 100, 2}});
  std::vector<std::int64_t> ids(4), targets(4);
  corpus.read(windows[0], ids, targets);
  for (std::size_t t = 0; t < 4; ++t) {
    CHECK(ids[t] == text[184 + 2 * t]);
    CHECK(targets[t] == text[186 + 2 * t]);
  }
  CHECK(corpus.target_bytes(windows[0]) == 8);
  CHECK(corpus.target_bytes(windows[2]) == 3);
  CHECK(bytes.target_bytes(bytes.validation_windows()[0]) == 4);
  CHECK(corpus.fingerprint() != bytes.fingerprint());
  for (Index row = 0; row < 50; ++row) CHECK(corpus.sample(1, 0, row).first <= 92 - 5);
  CHECK(corpus.vocabulary() == 256);
  CHECK(error_lacks(
            [&] {
              Corpus::from_documents({{"a", text_of(40)}}, 30, pairs());
            },
            {"too short", "31 tokens", "found 18", "40 bytes"}) == "");
}

TEST_CASE("The last tenth of each document is for validation, in windows that share no prediction") {
  const Corpus corpus = Corpus::from_documents({{"a", text_of(100)}, {"b", text_of(205)}}, 4);
  CHECK(corpus.training_bytes() == 90 + 184);
  CHECK(corpus.validation_bytes() == 10 + 21);
  const auto windows = corpus.validation_windows();
  // Of 10 bytes 9 are predicted, of 21 bytes 20.
  CHECK(windows ==
        std::vector<Window>{
            {0, 90, 4}, {0, 94, 4}, {0, 98, 1}, {1, 184, 4}, {1, 188, 4}, {1, 192, 4}, {1, 196, 4}, {1, 200, 4}});
  Index bytes = 0;
  for (const Window& window : windows) bytes += corpus.target_bytes(window);
  CHECK(bytes == 9 + 20);
  // A window would need a target after the end.
  CHECK(Corpus::from_documents({{"c", text_of(120)}}, 11).validation_windows() == std::vector<Window>{{0, 108, 11}});
}

TEST_CASE("A text is for validation as a whole, or its last tenth alone, however short it is") {
  const std::string text = text_of(103);
  const auto load_as = [&](Split split, Index size, TextEncoding encoding = {}) {
    return Corpus::from_documents({{"a", text.substr(0, static_cast<std::size_t>(size))}}, 40, std::move(encoding),
                                  split);
  };
  const Corpus whole = load_as(Split::whole, 103), last = load_as(Split::validation, 103);
  CHECK(whole.validation_windows() == std::vector<Window>{{0, 0, 40}, {0, 40, 40}, {0, 80, 22}});
  CHECK(whole.validation_bytes() == 103);
  CHECK(last.validation_windows() == std::vector<Window>{{0, 0, 10}});
  CHECK(last.validation_bytes() == 11);
  CHECK(last.documents()[0].text == text.substr(92));
  const Corpus trained = Corpus::from_documents({{"a", text}}, 40);
  std::array<std::int64_t, 10> ids{}, targets{}, expected_ids{}, expected_targets{};
  last.read({0, 0, 10}, ids, targets);
  trained.read(trained.validation_windows().front(), expected_ids, expected_targets);
  CHECK(ids == expected_ids);
  CHECK(targets == expected_targets);
  CHECK(load_as(Split::whole, 2).validation_windows() == std::vector<Window>{{0, 0, 1}});
  CHECK(load_as(Split::whole, 3, pairs()).target_bytes({0, 0, 1}) == 1);
  for (const Corpus* const corpus : {&whole, &last}) {
    CHECK(corpus->training_bytes() == 0);
    CHECK(corpus->longest_stream() == 0);
    CHECK(error_lacks([&] { corpus->sample(0, 0, 0); }, {"text for training", "validation only"}) == "");
    CHECK(error_lacks([&] { corpus->stream_windows(); }, {"text for training", "validation only"}) == "");
  }
  CHECK(error_lacks([&] { load_as(Split::whole, 1); },
                    {"a: ", "too short", "expected 2 bytes (one to read and one to predict)", "found 1 (1 bytes)"}) ==
        "");
  CHECK(error_lacks([&] { load_as(Split::whole, 2, pairs()); }, {"expected 2 tokens", "found 1 (2 bytes)"}) == "");
  CHECK(error_lacks([&] { load_as(Split::validation, 10); }, {"found 1 (the last tenth of 10 bytes)"}) == "");
}

TEST_CASE("An encoding that loses bytes or makes up ids is an error with the name of the text") {
  const auto refusal_of = [](io::EncodedText encoded) {
    TextEncoding encoding{100, [=](std::string_view) { return encoded; }};
    return ttt::testing::error_message([&] {
      Corpus::from_documents({{"a", "0123456789"}}, 2, encoding, Split::whole);
    });
  };
  using ttt::testing::contains;
  CHECK(refusal_of({{0, 99, 5}, {2, 2, 10}}).empty());
  CHECK(contains(refusal_of({{0, 100, 5}, {2, 4, 10}}), "a, encoded", "ids from 0 to 99", "found 100"));
  CHECK(contains(refusal_of({{0, -1, 5}, {2, 4, 10}}), "a, encoded", "found -1"));
  CHECK(contains(refusal_of({{0, 1, 5}, {2, 10}}), "a, encoded", "each of 3 ids", "found 2"));
  CHECK(contains(refusal_of({{0, 1, 5}, {2, 4, 9}}), "a, encoded", "10 bytes", "found 9"));
  CHECK(contains(refusal_of({{0, 1, 5}, {2, 4, 11}}), "a, encoded", "10 bytes", "found 11"));
  CHECK(contains(refusal_of({{0, 1, 5}, {4, 2, 10}}), "a, encoded", "falling"));
  CHECK(contains(refusal_of({{0, 1, 5}, {-4, 2, 10}}), "a, encoded", "falling"));
  CHECK(contains(refusal_of({}), "a, encoded", "10 bytes", "found 0"));
}

TEST_CASE("Windows outside of a document are refused") {
  const Corpus corpus = Corpus::from_documents({{"a", text_of(30)}}, 6);
  std::array<std::int64_t, 6> ids{}, targets{};
  constexpr Index largest = std::numeric_limits<Index>::max();
  for (const Window& window : {Window{1, 0, 6},
                               {-1, 0, 6},
                               {0, 24, 6},
                               {0, -1, 6},
                               {0, 30, 0},
                               {0, 0, -1},
                               {0, 0, 30},
                               {0, 1, largest},
                               {0, largest, 1},
                               {largest, 0, 1}}) {
    CAPTURE(window.document, window.first, window.length);
    CHECK(error_lacks([&] { corpus.read(window, ids, targets); }, {"window of document", "token"}) == "");
    CHECK(error_lacks([&] { corpus.target_bytes(window); }, {"window of document", "token"}) == "");
  }
  corpus.read({0, 23, 6}, ids, targets);
  CHECK(error_lacks([&] { corpus.read({0, 0, 5}, ids, targets); }, {"5 of each", "6 and 6"}) == "");
  CHECK(error_lacks([&] { corpus.read({0, 0, 6}, ids, std::span(targets).first(5)); }, {"6 of each", "6 and 5"}) == "");
}

TEST_CASE("A window's targets are its ids one byte later, bytes above 127 included") {
  std::string text = text_of(100);
  text[3] = static_cast<char>(0xE4);
  const Corpus corpus = Corpus::from_documents({{"a", text}}, 5);
  std::array<std::int64_t, 5> ids{}, targets{};
  corpus.read({0, 1, 5}, ids, targets);
  for (std::size_t t = 0; t < 5; ++t) {
    CHECK(ids[t] == static_cast<unsigned char>(text[1 + t]));
    CHECK(targets[t] == static_cast<unsigned char>(text[2 + t]));
  }
  CHECK(ids[2] == 0xE4);
}

TEST_CASE("Training windows stay in a document's training part and reach every start") {
  const Index context = 6;
  const Corpus corpus = Corpus::from_documents({{"a", text_of(30)}, {"b", text_of(8)}, {"c", text_of(20)}}, context);
  const std::array<Index, 3> training{27, 7, 18};
  std::map<Index, std::set<Index>> seen;
  for (std::int64_t step = 0; step < 500; ++step)
    for (Index row = 0; row < 3; ++row) {
      const Window window = corpus.sample(7, step, row);
      REQUIRE(window.first >= 0);
      REQUIRE(window.first + context + 1 <= training[static_cast<std::size_t>(window.document)]);
      seen[window.document].insert(window.first);
    }
  CHECK(seen[0].size() == 21);
  CHECK(seen[1].size() == 1);
  CHECK(seen[2].size() == 12);
}

TEST_CASE("The order of training windows depends on seed, step and row only") {
  const Corpus corpus = Corpus::from_documents({{"a", text_of(100000)}}, 6);
  const Window window = corpus.sample(1, 10, 2);
  CHECK(corpus.sample(1, 10, 2) == window);
  CHECK_FALSE(corpus.sample(2, 10, 2) == window);
  CHECK_FALSE(corpus.sample(1, 11, 2) == window);
  CHECK_FALSE(corpus.sample(1, 10, 3) == window);
}

TEST_CASE("The stream of windows reads each document end to end") {
  const Corpus corpus = Corpus::from_documents({{"a", text_of(30)}, {"b", text_of(8)}, {"c", text_of(20)}}, 6);
  REQUIRE(corpus.stream_windows() == 4 + 1 + 2);
  CHECK(corpus.longest_stream() == 4);
  const std::array<Window, 7> expected{Window{0, 0, 6}, Window{0, 6, 6}, Window{0, 12, 6}, Window{0, 18, 6},
                                       Window{1, 0, 6}, Window{2, 0, 6}, Window{2, 6, 6}};
  for (Index i = 0; i < 7; ++i) CHECK(corpus.stream_window(i) == expected[static_cast<std::size_t>(i)]);
}

TEST_CASE("Folders are read recursively, sorted by path, and tell what they skipped") {
  const TemporaryFolder folder;
  folder.write("z.txt", text_of(50, 'A'));
  folder.write("sub/b.txt", text_of(40));
  folder.write("sub/a.txt", text_of(30));
  folder.write("binary", std::string("abc\0def", 7) + text_of(50));
  folder.write("empty", "");
  folder.write("short", text_of(5));
  std::filesystem::create_symlink(folder / "nowhere", folder / "dangling");
  std::filesystem::create_directory_symlink(folder.path(), folder / "loop");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  const Corpus corpus = load({folder.path()}, 6);
  REQUIRE(corpus.documents().size() == 3);
  CHECK(corpus.documents()[0].name == (folder / "sub/a.txt").string());
  CHECK(corpus.documents()[1].name == (folder / "sub/b.txt").string());
  CHECK(corpus.documents()[2].text == text_of(50, 'A'));
  std::map<std::string, std::string> reasons;
  for (const auto& skipped : corpus.skipped()) reasons[std::filesystem::path(skipped.name).filename()] = skipped.reason;
  REQUIRE(reasons.size() == 6);
  CHECK(reasons["binary"].find("NUL") != std::string::npos);
  CHECK(reasons["empty"].find("empty") != std::string::npos);
  CHECK(reasons["short"].find("expected 7 bytes") != std::string::npos);
  CHECK(reasons["short"].find("found 4") != std::string::npos);
  CHECK(reasons["dangling"].find("no such file") != std::string::npos);
  CHECK(reasons["loop"].find("not followed") != std::string::npos);
  CHECK(reasons["pipe"].find("neither") != std::string::npos);
}

TEST_CASE("A named file that cannot be used is an error with its name") {
  const TemporaryFolder folder;
  const auto good = folder.write("good", text_of(50));
  const auto binary = folder.write("binary", std::string("abc\0def", 7) + text_of(50));
  CHECK(error_lacks([&] { load({good, binary}, 6); }, {binary.string(), "NUL"}) == "");
  const auto empty = folder.write("empty", "");
  CHECK(error_lacks([&] { load({good, empty}, 6); }, {empty.string(), "empty"}) == "");
  const auto short_file = folder.write("short", text_of(7));
  CHECK(error_lacks([&] { load({good, short_file}, 6); }, {short_file.string(), "expected 7", "found 6"}) == "");
  CHECK(error_lacks([&] { load({good, folder / "absent"}, 6); }, {(folder / "absent").string(), "no such"}) == "");
  REQUIRE(mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK(error_lacks([&] { load({folder / "pipe"}, 6); }, {(folder / "pipe").string(), "neither"}) == "");
}

TEST_CASE("Nothing to learn from is an error") {
  const TemporaryFolder folder;
  folder.write("empty", "");
  CHECK(error_lacks([&] { load({folder.path()}, 6); }, {"1 unusable", (folder / "empty").string(), "is empty"}) == "");
  CHECK(error_lacks([&] { load({}, 6); }, {"window of 6 tokens", "none"}) == "");
  CHECK(error_lacks([&] { load({folder.path()}, 0); }, {"context", "at least 1"}) == "");
}

TEST_CASE("The fingerprint knows texts, borders and context, not paths") {
  const auto fingerprint = [](std::vector<Document> documents, Index context = 6) {
    return Corpus::from_documents(std::move(documents), context).fingerprint();
  };
  const std::string whole = text_of(100);
  const auto expected = fingerprint({{"a", whole.substr(0, 50)}, {"b", whole.substr(50)}});
  CHECK(fingerprint({{"x", whole.substr(0, 50)}, {"y", whole.substr(50)}}) == expected);
  CHECK_FALSE(fingerprint({{"a", whole.substr(0, 40)}, {"b", whole.substr(40)}}) == expected);
  CHECK_FALSE(fingerprint({{"b", whole.substr(50)}, {"a", whole.substr(0, 50)}}) == expected);
  CHECK_FALSE(fingerprint({{"a", whole.substr(0, 50)}, {"b", whole.substr(50)}}, 7) == expected);
}
