// SPDX-License-Identifier: MIT
// An index and the two files it may name, 1.safetensors and 2.safetensors: after the lengths of the index and of the
// first file (uint16 each) come the three, one after another.
#include "mutate.hpp"
#include "ttt/io/safetensors_set.hpp"

namespace {

using Parts = std::array<std::string, 3>;

Parts split(std::string_view bytes) {
  Parts parts;
  std::string_view rest = bytes.substr(std::min<std::size_t>(4, bytes.size()));
  for (std::size_t i = 0; i < parts.size(); ++i) {
    parts[i] = rest.substr(0, i < 2 ? ttt_fuzz::number_at<std::uint16_t>(bytes, 2 * i) : rest.size());
    rest.remove_prefix(parts[i].size());
  }
  return parts;
}

std::string join(const Parts& parts) {
  return ttt_fuzz::number_bytes(static_cast<std::uint16_t>(parts[0].size())) +
         ttt_fuzz::number_bytes(static_cast<std::uint16_t>(parts[1].size())) + parts[0] + parts[1] + parts[2];
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    const Parts parts = split(ttt_fuzz::taken(data, size));
    const auto open_file = [&](const std::string& name) {
      ttt_fuzz::require(name.find('/') == std::string::npos && name != "..");
      if (name != "1.safetensors" && name != "2.safetensors") throw ttt::Error("no such file");
      return ttt::io::SafetensorsFile::parse(std::as_bytes(std::span(parts[name == "1.safetensors" ? 1 : 2])), name);
    };
    const auto set = ttt::io::SafetensorsSet::of_index(parts[0], "input", open_file);
    for (const auto& info : set.tensors()) {
      ttt_fuzz::require(set.find(info.name) == &info);
      ttt_fuzz::touch(set.bytes(info));
      set.release(info);
    }
    for (const auto& [key, value] : set.metadata()) ttt_fuzz::touch(key + value);
  });
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t maximum,
                                               unsigned seed) {
  std::minstd_rand random(seed);
  Parts parts = split(ttt_fuzz::taken(data, size));
  const std::size_t chosen = random() % parts.size(), room = std::min<std::size_t>(maximum, 60'000) / 3;
  if (chosen == 0)
    ttt_fuzz::mutate(parts[0], room);
  else
    parts[chosen] = ttt_fuzz::mutated_safetensors(parts[chosen], room, random);
  return ttt_fuzz::give(join(parts), data, maximum);
}
