// SPDX-License-Identifier: MIT
/// @file
/// Normalization Form C (Unicode Standard Annex 15) from the tables of unicode.hpp.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "ttt/io/tokenizer/characters.hpp"

TTT_NAMESPACE_BEGIN
namespace io::detail {

/// Syllables of Hangul are composed of a leading consonant, a vowel and perhaps a trailing one by their numbers.
namespace hangul {
inline constexpr std::uint32_t syllables = 0xAC00, leads = 0x1100, vowels = 0x1161, tails = 0x11A7;
inline constexpr std::uint32_t lead_count = 19, vowel_count = 21, tail_count = 28;
inline constexpr std::uint32_t syllable_count = lead_count * vowel_count * tail_count;
}  // namespace hangul

/// What characters consist of, how they compose, and in which order marks stand.
class CanonicalForms {
 public:
  static const CanonicalForms& get() {
    static const CanonicalForms forms;
    return forms;
  }

  /// 0 for a character that marks do not move past.
  unsigned combining_class(std::uint32_t code) const {
    const auto found = classes_.find(code);
    return found == classes_.end() ? 0 : found->second;
  }

  /// Whether a text of nothing but such characters is in the form already, and none of them composes with what stands
  /// before it.
  bool is_settled(std::uint32_t code) const { return code < 0x300 || !unsettled_.contains(code); }

  /// Appends the parts of a character, or itself.
  void decompose(std::uint32_t code, std::vector<std::uint32_t>& parts) const {
    const std::uint32_t syllable = code - hangul::syllables;
    if (syllable < hangul::syllable_count) {
      parts.push_back(hangul::leads + syllable / (hangul::vowel_count * hangul::tail_count));
      parts.push_back(hangul::vowels + syllable / hangul::tail_count % hangul::vowel_count);
      if (syllable % hangul::tail_count > 0) parts.push_back(hangul::tails + syllable % hangul::tail_count);
      return;
    }
    const auto found = parts_.find(code);
    if (found == parts_.end()) return parts.push_back(code);
    decompose(found->second.first, parts);
    if (found->second.second != 0) parts.push_back(found->second.second);
  }

  /// The character that two compose to, or 0.
  std::uint32_t compose(std::uint32_t first, std::uint32_t second) const {
    using namespace hangul;
    if (first - leads < lead_count && second - vowels < vowel_count)
      return syllables + ((first - leads) * vowel_count + second - vowels) * tail_count;
    if (first - syllables < syllable_count && (first - syllables) % tail_count == 0 &&
        second - tails - 1 < tail_count - 1)
      return first + second - tails;
    const auto found = composites_.find({first, second});
    return found == composites_.end() ? 0 : found->second;
  }

 private:
  CanonicalForms() {
    std::vector<CharacterSet::Range> unsettled{{hangul::vowels, hangul::vowels + hangul::vowel_count},
                                               {hangul::tails + 1, hangul::tails + hangul::tail_count}};
    std::uint32_t code = 0;
    for (PackedNumbers numbers(unicode::combining_classes); !numbers.empty();) {
      const std::uint32_t order = numbers.next(), count = numbers.next();
      for (std::uint32_t i = 0; order > 0 && i < count; ++i) classes_.emplace(code + i, order);
      if (order > 0) unsettled.emplace_back(code, code + count);
      code += count;
    }
    code = 0;
    for (PackedNumbers numbers(unicode::decompositions); !numbers.empty();) {
      const std::uint32_t step = numbers.next(), first = numbers.next(), second = numbers.next();
      code += step / 2;
      parts_.emplace(code, std::pair(first, second));
      if (step % 2 == 0) composites_.emplace(std::pair(first, second), code);
      const std::uint32_t changes = step % 2 == 0 ? second : code;
      unsettled.emplace_back(changes, changes + 1);
    }
    unsettled_ = CharacterSet::of(std::move(unsettled));
  }

  std::unordered_map<std::uint32_t, unsigned> classes_;
  std::unordered_map<std::uint32_t, std::pair<std::uint32_t, std::uint32_t>> parts_;
  std::map<std::pair<std::uint32_t, std::uint32_t>, std::uint32_t> composites_;
  CharacterSet unsettled_;
};

/// Puts marks into their order and composes what can be, in a text that begins with the parts of a character that does
/// not compose with those before it.
inline void compose(std::vector<std::uint32_t>& codes, const CanonicalForms& forms) {
  for (auto first = codes.begin(); first != codes.end();) {
    const auto is_base = [&](std::uint32_t code) { return forms.combining_class(code) == 0; };
    const auto end = std::find_if(first, codes.end(), is_base);
    std::stable_sort(first, end, [&](auto a, auto b) { return forms.combining_class(a) < forms.combining_class(b); });
    first = std::find_if_not(end, codes.end(), is_base);
  }
  constexpr std::size_t none = static_cast<std::size_t>(-1);
  std::size_t size = 0, base = none;
  unsigned last = 0;  // class of the last mark that stays behind the base
  for (const std::uint32_t code : codes) {
    const unsigned order = forms.combining_class(code);
    const bool is_blocked = base == none || (base + 1 < size && last >= order);
    if (const std::uint32_t composed = is_blocked ? 0 : forms.compose(codes[base], code)) {
      codes[base] = composed;
      continue;
    }
    if (order == 0) base = size;
    last = order;
    codes[size++] = code;
  }
  codes.resize(size);
}

/// Whether no character of a text composes with another one or has another form, as in most texts.
inline bool is_settled(std::string_view text) {
  const CanonicalForms& forms = CanonicalForms::get();
  for (std::size_t place = 0; place < text.size();) {
    const Character character = first_character(text.substr(place));
    if (!forms.is_settled(character.code)) return false;
    place += character.length;
  }
  return true;
}

/// Calls `keep(bytes)` for parts of `text` that are in Normalization Form C, and `put(form, bytes)` for others with
/// their form, one after another. Bytes that are no UTF-8 stay as they are.
template <class Keep, class Put>
void normalize(std::string_view text, Keep keep, Put put) {
  const CanonicalForms& forms = CanonicalForms::get();
  std::vector<std::uint32_t> codes;
  std::size_t done = 0, base = 0;  // `base`: where the last character begins that composes with none before it
  for (std::size_t place = 0; place < text.size();) {
    Character character = first_character(text.substr(place));
    if (forms.is_settled(character.code)) {
      base = place + (is_valid(character) ? 0 : 1);
      place += character.length;
      continue;
    }
    codes.clear();
    for (place = base; place < text.size(); place += character.length) {
      character = first_character(text.substr(place));
      if (place > base && forms.is_settled(character.code)) break;
      forms.decompose(character.code, codes);
    }
    compose(codes, forms);
    std::string form;
    for (const std::uint32_t code : codes) append_utf8(form, code);
    if (form != text.substr(base, place - base)) {
      if (done < base) keep(base - done);
      put(form, place - base);
      done = place;
    }
    base = place;
  }
  if (done < text.size()) keep(text.size() - done);
}

}  // namespace io::detail
TTT_NAMESPACE_END
