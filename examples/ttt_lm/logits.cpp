// SPDX-License-Identifier: MIT
#include "command_line.hpp"
#include "commands.hpp"
#include "json_text.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "token_ids.hpp"
#include "ttt/io/safetensors_writer.hpp"

namespace ttt_lm {

int logits(const LogitsOptions& options, const CommonOptions& common) {
  const std::filesystem::path out(options.out);
  if (!options.force && std::filesystem::exists(out))
    throw ttt::Error(options.out + ": exists already; --force overwrites it");
  Terminal terminal(common.quiet);
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const TokenIds ids = read_ids(ttt::io::SafetensorsFile::open(options.ids), loaded.model.vocabulary());
  const auto values = all_logits(loaded, ids.values, ids.rows, options.pieces, machine.context());
  const std::vector<std::int64_t> shape{ids.rows, ids.tokens, loaded.model.vocabulary()};
  const std::array sources{ttt::io::tensor_source<float>("logits", shape, std::span<const float>(values))};
  ttt::io::write_safetensors(out, sources);
  if (common.json)
    write_output(json_text({{"logits", options.out}, {"shape", shape}}) + "\n");
  else
    terminal.message("logits " + ttt::io::shape_text(shape) + " in " + options.out);
  return success;
}

}  // namespace ttt_lm
