// SPDX-License-Identifier: MIT
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "command_line.hpp"
#include "commands.hpp"
#include "folder.hpp"
#include "json_text.hpp"
#include "model.hpp"
#include "terminal.hpp"
#include "token_ids.hpp"

namespace ttt_lm {

namespace {

using Json = nlohmann::ordered_json;

std::string type_text(const ttt::TensorInspection& tensor) { return tensor.type.empty() ? "none" : tensor.type; }

Json json_of(const ttt::FolderInspection& folder) {
  Json tensors = Json::array();
  for (const auto& tensor : folder.tensors) {
    tensors.push_back({{"name", ttt::io::printable(tensor.name)},
                       {"dtype", type_text(tensor)},
                       {"shape", tensor.shape},
                       {"status", ttt::status_text(tensor.status)},
                       {"problem", tensor.problem}});
  }
  return {{"family", folder.model_type}, {"tensors", tensors}, {"problems", folder.problem_count()}};
}

std::string text_of(const ttt::FolderInspection& folder, bool all) {
  std::vector<std::vector<std::string>> rows;
  std::string problems;
  for (const auto& tensor : folder.tensors) {
    if (!tensor.problem.empty())
      problems += std::string(ttt::status_text(tensor.status)) + "  " + tensor.problem + "\n";
    if (all)
      rows.push_back({ttt::io::printable(tensor.name), type_text(tensor), ttt::io::shape_text(tensor.shape),
                      std::string(ttt::status_text(tensor.status))});
  }
  return table_text(rows) + problems + folder.model_type + " folder, " + describe(folder.config) + ": " +
         std::to_string(folder.tensors.size()) + " tensors, " + std::to_string(folder.problem_count()) +
         " with a problem\n";
}

/// Logits that someone else computed.
struct Golden {
  TokenIds ids;
  std::vector<float> logits;
  std::optional<double> loss;
};

Golden read_golden(const std::string& path, Index vocabulary) {
  const auto file = ttt::io::SafetensorsFile::open(path);
  Golden golden{read_ids(file, vocabulary), {}, {}};
  const std::vector<std::int64_t> shape{golden.ids.rows, golden.ids.tokens, vocabulary};
  // What was computed in double only has the name that says so.
  const std::string name = file.find("logits") || !file.find("logits_f64") ? "logits" : "logits_f64";
  const std::string subject = path + ", tensor '" + name + "'";
  if (file.at(name).shape != shape)
    ttt::throw_unexpected(subject, "shape " + ttt::io::shape_text(shape), ttt::io::shape_text(file.at(name).shape));
  golden.logits = file.values<float>(name, ttt::io::Narrowing::rounded);
  for (const float value : golden.logits)
    if (!std::isfinite(value)) ttt::throw_unexpected(subject, "finite numbers", "NaN or infinity");
  if (const auto* info = file.find("loss")) {
    if (info->count() != 1)
      ttt::throw_unexpected(path + ", tensor 'loss'", "one number", ttt::io::shape_text(info->shape));
    golden.loss = file.values<double>("loss").front();
  }
  return golden;
}

/// Where found logits differ most from golden ones.
struct Difference {
  double absolute = 0, relative = 0;  ///< of the largest logit; infinite: a logit that is not finite
  std::size_t place = 0;
};

Difference largest_difference(const std::vector<float>& found, const std::vector<float>& expected) {
  Difference result;
  double largest = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    largest = std::max(largest, std::abs(static_cast<double>(expected[i])));
    double difference = std::abs(static_cast<double>(found[i]) - static_cast<double>(expected[i]));
    if (!std::isfinite(difference)) difference = std::numeric_limits<double>::infinity();
    if (difference > result.absolute) result.absolute = difference, result.place = i;
  }
  result.relative = result.absolute == 0 ? 0 : result.absolute / largest;
  return result;
}

/// Mean loss of the next token inside of the rows, as the Python classes compute it with the ids as labels.
double loss_of(const std::vector<float>& logits, const TokenIds& ids, Index vocabulary) {
  double sum = 0;
  for (Index row = 0; row < ids.rows; ++row)
    for (Index t = 0; t + 1 < ids.tokens; ++t) {
      const Index place = row * ids.tokens + t;
      const auto* values = logits.data() + place * vocabulary;
      double total = 0;
      const double largest = *std::max_element(values, values + vocabulary);
      for (Index id = 0; id < vocabulary; ++id) total += std::exp(static_cast<double>(values[id]) - largest);
      sum += largest + std::log(total) - static_cast<double>(values[ids.values[static_cast<std::size_t>(place + 1)]]);
    }
  return sum / static_cast<double>(ids.rows * (ids.tokens - 1));
}

Json compare_logits(const VerifyOptions& options, const CommonOptions& common) {
  Machine machine(common);
  const LoadedModel loaded = load_model(options.model, options.dtype);
  const Index vocabulary = loaded.model.vocabulary();
  const Golden golden = read_golden(options.golden, vocabulary);
  const auto found = all_logits(loaded, golden.ids.values, golden.ids.rows, options.pieces, machine.context());
  const Difference difference = largest_difference(found, golden.logits);
  const auto place = static_cast<Index>(difference.place);
  Json json;
  json["golden"] = options.golden;
  json.update({{"shape", {golden.ids.rows, golden.ids.tokens, vocabulary}},
               {"largest_difference", difference.absolute},
               {"relative_to_largest_logit", difference.relative},
               {"row", place / vocabulary / golden.ids.tokens},
               {"position", place / vocabulary % golden.ids.tokens},
               {"id", place % vocabulary},
               {"expected", golden.logits[difference.place]},
               {"found", found[difference.place]},
               {"tolerance", options.tolerance}});
  bool good = difference.relative <= options.tolerance;
  if (golden.loss && golden.ids.tokens > 1) {
    const double loss = loss_of(found, golden.ids, vocabulary);
    json["loss_expected"] = *golden.loss;
    json["loss_found"] = loss;
    good = good && std::abs(loss - *golden.loss) <= options.tolerance * std::max(1.0, std::abs(*golden.loss));
  }
  json["good"] = good;
  return json;
}

/// As many digits as tell two floats apart.
std::string digits(const Json& number) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.9g", number.get<double>());
  return text.data();
}

std::string text_of_logits(const Json& logits) {
  const auto number = [&](const char* name) { return logits[name].dump(); };
  std::string text = "logits " + number("shape") + ": largest difference " + digits(logits["largest_difference"]) +
                     ", " + digits(logits["relative_to_largest_logit"]) + " of the largest logit, in row " +
                     number("row") + " at position " + number("position") + ", id " + number("id") + ": expected " +
                     digits(logits["expected"]) + ", found " + digits(logits["found"]) + "\n";
  if (logits.contains("loss_expected"))
    text += "loss: expected " + digits(logits["loss_expected"]) + ", found " + digits(logits["loss_found"]) + "\n";
  return text + (logits["good"].get<bool>() ? "within" : "NOT within") + " the tolerance of " +
         digits(logits["tolerance"]) + "\n";
}

}  // namespace

int verify(const VerifyOptions& options, const CommonOptions& common) {
  const auto folder = inspect_model(options.model);
  Json json = json_of(folder);
  if (!common.json) write_output(text_of(folder, options.all));
  bool good = folder.problem_count() == 0;
  // A model that is not whole has no logits.
  if (good && !options.golden.empty()) {
    json["logits"] = compare_logits(options, common);
    good = json["logits"]["good"].get<bool>();
    if (!common.json) write_output(text_of_logits(json["logits"]));
  }
  if (common.json) write_output(json_text(json) + "\n");
  return good ? success : failure;
}

}  // namespace ttt_lm
