// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/unicode.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Takes the numbers of a text in unicode.hpp one after another.
class PackedNumbers {
 public:
  explicit PackedNumbers(std::string_view text) : text_(text) {}

  bool empty() const { return text_.empty(); }
  std::uint32_t next() {
    std::uint32_t number = 0;
    for (unsigned shift = 0, bits = 32; bits >= 32; shift += 5) {
      bits = static_cast<std::uint32_t>(text_.front() - '0');
      number |= (bits & 31) << shift;
      text_.remove_prefix(1);
    }
    return number;
  }

 private:
  std::string_view text_;
};

inline constexpr std::uint32_t code_point_count = 0x110000;

/// A set of code points.
class CharacterSet {
 public:
  using Range = std::pair<std::uint32_t, std::uint32_t>;  ///< the first and the one behind the last

  CharacterSet() = default;
  /// Those from `first` to `last`.
  CharacterSet(std::uint32_t first, std::uint32_t last) : borders_{first, last + 1} {}

  static CharacterSet of(std::vector<Range> ranges) {
    std::sort(ranges.begin(), ranges.end());
    CharacterSet set;
    for (const auto& [first, end] : ranges) set.add(first, end);
    return set;
  }

  /// One that unicode.hpp lists as how many are out, in, out, in, …
  static CharacterSet listed(std::string_view lengths) {
    CharacterSet set;
    std::uint32_t code = 0;
    for (PackedNumbers numbers(lengths); !numbers.empty();) set.borders_.push_back(code += numbers.next());
    return set;
  }

  /// General categories: one, "Lu", or all that begin with a letter, "L"; none when there is no such name.
  static std::optional<CharacterSet> category(std::string_view name) {
    CharacterSet set;
    std::uint32_t code = 0;
    for (PackedNumbers numbers(unicode::categories); !numbers.empty();) {
      const std::string_view found = unicode::category_names.substr(2 * std::size_t{numbers.next()}, 2);
      const std::uint32_t end = code + numbers.next();
      if (!name.empty() && found.starts_with(name)) set.add(code, end);
      code = end;
    }
    return set.borders_.empty() ? std::nullopt : std::optional(std::move(set));
  }

  /// \s, which is White_Space: \p{Z}, the control characters that move the cursor, and U+0085.
  static CharacterSet white_space() {
    return category("Z").value() | CharacterSet(0x09, 0x0D) | CharacterSet(0x85, 0x85);
  }

  bool contains(std::uint32_t code) const {
    return (std::upper_bound(borders_.begin(), borders_.end(), code) - borders_.begin()) % 2 == 1;
  }
  bool empty() const { return borders_.empty(); }
  /// Code points where membership begins and ends in turn.
  const std::vector<std::uint32_t>& borders() const { return borders_; }

  CharacterSet operator~() const {
    CharacterSet set = *this;
    set.toggle(0);
    set.toggle(code_point_count);
    return set;
  }

  friend CharacterSet operator|(const CharacterSet& a, const CharacterSet& b) {
    std::vector<Range> ranges;
    for (const CharacterSet* one : {&a, &b})
      for (std::size_t i = 0; i + 1 < one->borders_.size(); i += 2)
        ranges.emplace_back(one->borders_[i], one->borders_[i + 1]);
    return of(std::move(ranges));
  }

  friend bool operator==(const CharacterSet&, const CharacterSet&) = default;

 private:
  /// Adds those from `first` on before `end`, where `first` is not before that of the last ones added.
  void add(std::uint32_t first, std::uint32_t end) {
    if (borders_.empty() || borders_.back() < first)
      borders_.insert(borders_.end(), {first, end});
    else
      borders_.back() = std::max(borders_.back(), end);
  }

  void toggle(std::uint32_t code) {
    const auto place = std::lower_bound(borders_.begin(), borders_.end(), code);
    if (place != borders_.end() && *place == code)
      borders_.erase(place);
    else
      borders_.insert(place, code);
  }

  std::vector<std::uint32_t> borders_;
};

}  // namespace io::detail
TTT_NAMESPACE_END
