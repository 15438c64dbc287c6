// SPDX-License-Identifier: MIT
// A saved State in memory: it is restored whole or not at all, and saved again the same. Mutations keep the length of
// the header, and the checksum when they leave its place.
#include "mutate.hpp"
#include "support/nested_state.hpp"
#include "ttt/serving/state_blob.hpp"

namespace {

using State = ttt::State<float>;

State fresh() { return ttt::testing::nested_state<float>({3, 0, 5}); }

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  State state = fresh();
  bool restored = false;
  ttt_fuzz::accept_or_refuse([&] {
    ttt::restore_state(state, std::as_bytes(std::span(data, size)), "tiny");
    restored = true;
  });
  if (!restored) {
    ttt_fuzz::require(state == fresh());
    return 0;
  }
  ttt_fuzz::touch(std::as_bytes(std::span(state.values.data(), static_cast<std::size_t>(state.values.size()))));
  State again = fresh();
  ttt::restore_state(again, ttt::save_state(state, "tiny"), "tiny");
  ttt_fuzz::require(again == state);
  return 0;
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t maximum,
                                               unsigned seed) {
  std::minstd_rand random(seed);
  std::string file = ttt_fuzz::mutated_safetensors(ttt_fuzz::taken(data, size), maximum, random);
  // What would pass but for the checksum gets the right one.
  constexpr std::string_view expected = "expected '", found = "', found";
  State state = fresh();
  try {
    ttt::restore_state(state, std::as_bytes(std::span(file)), "tiny");
  } catch (const ttt::Error& error) {
    const std::string message = error.what();
    const std::size_t begin = message.find(expected), end = message.find(found);
    const std::size_t key = file.find("\"checksum\":\"");
    if (message.find("'checksum'") != std::string::npos && begin != std::string::npos && end != std::string::npos &&
        key != std::string::npos) {
      const std::size_t place = key + 12, length = file.find('"', place) - place;
      const std::string right = message.substr(begin + expected.size(), end - begin - expected.size());
      if (place + length < file.size()) {
        file.replace(place, length, right);
        file.replace(0, 8, ttt_fuzz::number_bytes(ttt_fuzz::number_at<std::uint64_t>(file) + right.size() - length));
      }
    }
  }
  return ttt_fuzz::give(file, data, maximum);
}
