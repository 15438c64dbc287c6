// SPDX-License-Identifier: MIT
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "ttt/io/safetensors.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace ttt_lm {

namespace {

struct Ids {
  Index rows = 0, tokens = 0;
  std::vector<std::int64_t> values;
};

Ids read_ids(const std::string& path, Index vocabulary) {
  const auto file = ttt::io::SafetensorsFile::open(path);
  const std::string subject = path + ", tensor 'input_ids'";
  const auto& info = file.at("input_ids");
  if (info.dtype != ttt::io::DType::I64 || info.shape.size() != 2)
    ttt::throw_unexpected(subject, "I64 [B, T]",
                          std::string(ttt::io::dtype_name(info.dtype)) + " " + ttt::io::shape_text(info.shape));
  if (info.count() == 0) ttt::throw_unexpected(subject, "at least one id", ttt::io::shape_text(info.shape));
  Ids ids{static_cast<Index>(info.shape[0]), static_cast<Index>(info.shape[1]), file.values<std::int64_t>("input_ids")};
  for (std::size_t i = 0; i < ids.values.size(); ++i)
    if (ids.values[i] < 0 || ids.values[i] >= vocabulary)
      ttt::throw_unexpected(subject + ", row " + std::to_string(static_cast<Index>(i) / ids.tokens) + ", token " +
                                std::to_string(static_cast<Index>(i) % ids.tokens),
                            "an id from 0 to " + std::to_string(vocabulary - 1), std::to_string(ids.values[i]));
  return ids;
}

}  // namespace

int logits(const LogitsOptions& options, const CommonOptions& common) {
  const std::filesystem::path out(options.out);
  if (!options.force && std::filesystem::exists(out))
    throw ttt::Error(options.out + ": exists already; --force overwrites it");
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const Ids ids = read_ids(options.ids, loaded.model.vocabulary());
  const auto values = all_logits(loaded, ids.values, ids.rows, options.pieces, machine.context());
  const std::vector<std::int64_t> shape{ids.rows, ids.tokens, loaded.model.vocabulary()};
  const std::array sources{ttt::io::tensor_source<float>("logits", shape, std::span<const float>(values))};
  ttt::io::write_safetensors(out, sources);
  if (common.json)
    write_output(nlohmann::ordered_json{{"logits", options.out}, {"shape", shape}}.dump() + "\n");
  else
    terminal.message("logits " + ttt::io::shape_text(shape) + " in " + options.out);
  return success;
}

}  // namespace ttt_lm
