// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/io/utf8.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// A tokenizer.json taken apart: the two long lists as they are, everything else as a JSON object.
struct TokenizerJson {
  std::vector<std::pair<std::string, std::uint64_t>> vocabulary;  ///< model.vocab
  std::vector<std::pair<std::string, std::string>> merges;        ///< model.merges, "a b" or ["a", "b"]
  bool vocabulary_found = false, merges_found = false;
  nlohmann::json rest;  ///< with null in the place of the two
};

/// Limits of a tokenizer.json, far above any real one.
inline constexpr std::size_t maximum_tokenizer_size = std::size_t{1} << 26;
inline constexpr std::size_t maximum_tokenizer_depth = 32, maximum_tokenizer_values = 200'000;

/// Takes the events of the parser. Nothing in it goes deeper with the file.
class TokenizerJsonReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit TokenizerJsonReader(std::string file) : file_(std::move(file)) {}

  TokenizerJson take() { return std::move(result_); }

  bool null() override { return scalar(nullptr, "null"); }
  bool boolean(bool value) override { return scalar(value, "a boolean"); }
  bool number_integer(number_integer_t value) override { return scalar(value, "a negative number"); }
  bool number_float(number_float_t value, const string_t&) override { return scalar(value, "a fraction"); }
  bool binary(binary_t&) override { return false; }
  bool number_unsigned(number_unsigned_t value) override {
    if (place_ != Place::vocabulary) return scalar(value, "a number");
    result_.vocabulary.emplace_back(std::move(key_), value);
    return true;
  }
  bool string(string_t& value) override {
    if (place_ == Place::merges) return add_merge(value);
    if (place_ == Place::pair && pair_.size() < 2) return pair_.push_back(std::move(value)), true;
    return scalar(std::move(value), "a string");
  }
  bool key(string_t& name) override {
    if (place_ == Place::rest && open_.back()->contains(name))
      throw_unexpected(file_, "every key once in its object", "'" + printable(name) + "' again");
    key_ = std::move(name);
    return true;
  }
  bool start_object(std::size_t) override {
    if (place_ == Place::rest && is_in_model("vocab")) {
      result_.vocabulary_found = true;
      return begin(Place::vocabulary);
    }
    return open(nlohmann::json::object(), "an object");
  }
  bool start_array(std::size_t) override {
    if (place_ == Place::rest && is_in_model("merges")) {
      result_.merges_found = true;
      return begin(Place::merges);
    }
    if (place_ == Place::merges) {
      pair_.clear();
      return enter(Place::pair);
    }
    // Other kinds of models have lists there; the kind is refused when it is known.
    if (place_ == Place::rest && is_in_model("vocab")) return begin(Place::skipped);
    return open(nlohmann::json::array(), "a list");
  }
  bool end_object() override { return close(); }
  bool end_array() override {
    if (place_ == Place::pair) {
      if (pair_.size() != 2) fail_merge("a list of " + std::to_string(pair_.size()));
      result_.merges.emplace_back(std::move(pair_[0]), std::move(pair_[1]));
    }
    return close();
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    if (error.id == 406) throw_unexpected(file_, "JSON", "a number out of range");
    throw_unexpected(file_, "JSON", "a syntax error at byte " + std::to_string(position));
  }

 private:
  enum class Place { rest, vocabulary, merges, pair, skipped };

  bool is_in_model(const char* name) const { return open_.size() == 2 && is_model_ && key_ == name; }

  [[noreturn]] void fail_merge(const std::string& found) const {
    throw_unexpected(file_ + ", key 'model.merges', merge " + std::to_string(result_.merges.size()),
                     "two tokens as \"a b\" or [\"a\", \"b\"]", found);
  }

  bool add_merge(const std::string& text) {
    const std::size_t split = text.find(' ');
    if (split == std::string::npos || text.find(' ', split + 1) != std::string::npos)
      fail_merge("\"" + printable(text) + "\"");
    result_.merges.emplace_back(text.substr(0, split), text.substr(split + 1));
    return true;
  }

  /// Into one of the long lists, which leaves null behind.
  bool begin(Place place) {
    add(nullptr);
    return enter(place);
  }
  bool enter(Place place) {
    places_.push_back(place_);
    check_depth();
    place_ = place;
    return true;
  }
  void check_depth() const {
    if (places_.size() + open_.size() > maximum_tokenizer_depth)
      throw_unexpected(file_, "at most " + std::to_string(maximum_tokenizer_depth) + " levels of JSON", "more");
  }

  bool scalar(nlohmann::json value, const char* kind) {
    if (place_ == Place::skipped) return true;
    check_place(kind);
    add(std::move(value));
    return true;
  }
  void check_place(const char* kind) const {
    if (place_ == Place::vocabulary)
      throw_unexpected(file_ + ", key 'model.vocab', token '" + printable(key_) + "'", "a whole number", kind);
    if (place_ == Place::merges || place_ == Place::pair) fail_merge(kind);
  }

  bool open(nlohmann::json value, const char* kind) {
    if (place_ == Place::skipped) return enter(Place::skipped);
    check_place(kind);
    const bool is_model = open_.size() == 1 && open_.back()->is_object() && key_ == "model";
    open_.push_back(add(std::move(value)));
    if (open_.size() == 2) is_model_ = is_model;
    check_depth();
    return true;
  }
  bool close() {
    if (place_ == Place::rest) {
      open_.pop_back();
    } else {
      place_ = places_.back();
      places_.pop_back();
    }
    return true;
  }

  /// Pointers into a list stay good: what is open in it is its last value until it is closed.
  nlohmann::json* add(nlohmann::json value) {
    if (++values_ > maximum_tokenizer_values)
      throw_unexpected(file_,
                       "at most " + std::to_string(maximum_tokenizer_values) + " values besides vocabulary and merges",
                       "more");
    if (open_.empty()) return &(result_.rest = std::move(value));
    if (open_.back()->is_object()) return &((*open_.back())[key_] = std::move(value));
    open_.back()->push_back(std::move(value));
    return &open_.back()->back();
  }

  std::string file_;
  TokenizerJson result_;
  std::vector<nlohmann::json*> open_;  ///< objects and lists of the rest, from the outermost on
  std::vector<Place> places_;          ///< where to go back to from a long list
  Place place_ = Place::rest;
  bool is_model_ = false;  ///< the object at depth 2 is "model"
  std::string key_;
  std::vector<std::string> pair_;
  std::size_t values_ = 0;
};

/// Reads `text`, called `file` in messages. Throws Error for what is no JSON object or beyond the limits.
inline TokenizerJson read_tokenizer_json(std::string_view text, const std::string& file) {
  if (text.size() > maximum_tokenizer_size)
    throw_unexpected(file, "at most " + std::to_string(maximum_tokenizer_size) + " bytes", std::to_string(text.size()));
  TokenizerJsonReader reader(file);
  nlohmann::json::sax_parse(text, &reader);
  TokenizerJson json = reader.take();
  if (!json.rest.is_object()) throw_unexpected(file, "a JSON object", json.rest.type_name());
  return json;
}

}  // namespace io::detail
TTT_NAMESPACE_END
