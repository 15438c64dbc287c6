// SPDX-License-Identifier: MIT
// A training checkpoint in memory, which a damaged length or checksum must not hide from mutations.
#include "ttt/training/checkpoint.hpp"

#include "mutate.hpp"

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    const auto bytes = std::as_bytes(std::span(data, size));
    const auto contents = ttt::training::detail::parse_checkpoint({bytes.begin(), bytes.end()}, "input");
    for (const auto& setting : contents.settings) ttt_fuzz::touch(setting.name + setting.value);
    for (const auto& array : contents.arrays) {
      ttt_fuzz::touch(array.name + array.type);
      ttt_fuzz::touch(array.bytes);
    }
  });
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t maximum,
                                               unsigned seed) {
  std::minstd_rand random(seed);
  constexpr std::size_t head = 24, tail = 8;
  std::string file = ttt_fuzz::taken(data, size);
  if (file.size() < head + tail || random() % 8 == 0) {
    ttt_fuzz::mutate(file, maximum);
    return ttt_fuzz::give(file, data, maximum);
  }
  std::string body = file.substr(head, file.size() - head - tail);
  ttt_fuzz::mutate(body, std::max<std::size_t>(maximum, 64) - head - tail);
  file = file.substr(0, 16) + ttt_fuzz::number_bytes<std::uint64_t>(head + body.size() + tail) + body;
  file += ttt_fuzz::number_bytes(ttt::io::checksum(std::as_bytes(std::span(file))));
  return ttt_fuzz::give(file, data, maximum);
}
