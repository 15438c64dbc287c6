// SPDX-License-Identifier: MIT
// A safetensors file in memory: every tensor is read in every way that its type allows.
#include "ttt/io/safetensors.hpp"

#include "mutate.hpp"

namespace {

template <class Scalar>
void read(const ttt::io::SafetensorsFile& file, const ttt::io::TensorInfo& info) {
  ttt_fuzz::accept_or_refuse([&] {
    const auto values = file.values<Scalar>(info.name, ttt::io::Narrowing::rounded);
    ttt_fuzz::touch(std::as_bytes(std::span(values)));
  });
}

}  // namespace

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  return ttt_fuzz::accept_or_refuse([&] {
    const auto file = ttt::io::SafetensorsFile::parse(std::as_bytes(std::span(data, size)), "input");
    std::size_t total = 0;
    for (const auto& info : file.tensors()) {
      ttt_fuzz::require(file.find(info.name) == &info);
      ttt_fuzz::touch(file.bytes(info));
      total += file.bytes(info).size();
      read<float>(file, info);
      read<double>(file, info);
      read<std::int64_t>(file, info);
    }
    for (const auto& [key, value] : file.metadata()) ttt_fuzz::touch(key + value);
    ttt_fuzz::require(total + 8 + ttt_fuzz::number_at<std::uint64_t>({reinterpret_cast<const char*>(data), size}) ==
                      size);
  });
}

extern "C" std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size, std::size_t maximum,
                                               unsigned seed) {
  std::minstd_rand random(seed);
  return ttt_fuzz::give(ttt_fuzz::mutated_safetensors(ttt_fuzz::taken(data, size), maximum, random), data, maximum);
}
