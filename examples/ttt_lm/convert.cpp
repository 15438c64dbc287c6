// SPDX-License-Identifier: MIT
#include <map>

#include "command_line.hpp"
#include "commands.hpp"
#include "folder.hpp"
#include "json_text.hpp"
#include "model.hpp"
#include "terminal.hpp"

namespace ttt_lm {

int convert(const ConvertOptions& options, const CommonOptions& common) {
  const std::map<std::string, ttt::io::DType> dtypes{{"f32", ttt::io::DType::F32},
                                                     {"bf16", ttt::io::DType::BF16},
                                                     {"f16", ttt::io::DType::F16},
                                                     {"f64", ttt::io::DType::F64}};
  if (!options.force && has_model(options.out))
    throw ttt::Error(options.out + ": holds a model already; --force overwrites it");
  ttt::FolderConversion conversion;
  conversion.model_type = options.family;
  if (!options.dtype.empty()) conversion.dtype = dtypes.at(options.dtype);
  if (options.shard_size > 0) conversion.largest_part = options.shard_size;
  convert_model(options.model, options.out, conversion);
  Terminal terminal(common.quiet);
  if (common.json)
    write_output(json_text({{"from", options.model}, {"model", options.out}}) + "\n");
  else
    terminal.message("model in " + options.out);
  return success;
}

}  // namespace ttt_lm
