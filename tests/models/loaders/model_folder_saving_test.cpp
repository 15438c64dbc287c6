// SPDX-License-Identifier: MIT
// Saving model folders: what is refused, what a kill leaves, and what else lies in the folder.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "models/loaders/tiny_model.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"

using namespace ttt;
using ttt::testing::error_message;
using ttt::testing::Parameters;
using ttt::testing::parameters_of;
using ttt::testing::read_bytes;
using ttt::testing::TemporaryFolder;
using ttt::testing::tiny;
using ttt::testing::write_bytes;
namespace fs = std::filesystem;

namespace {

/// Saves the models in turn; ends only by a signal, or by an error.
[[noreturn]] void save_until_killed(const fs::path& folder, const std::vector<ModelConfig>& configs,
                                    const std::vector<Parameters>& parameters) {
  try {
    for (std::size_t i = 1;; ++i) save_model_folder(folder, configs[i % 2], parameters[i % 2]);
  } catch (const std::exception&) {
  }
  ::_exit(1);
}

}  // namespace

TEST_CASE("what cannot be loaded is not saved, and the old folder stays") {
  const TemporaryFolder temporary;
  const fs::path folder = temporary / "model";
  save_model_folder(folder, tiny(), parameters_of(tiny()));
  const auto before = temporary.contents();
  const auto refused = [&](const ModelConfig& config, const Parameters& parameters) {
    const std::string text = error_message([&] { save_model_folder(folder, config, parameters); });
    CHECK(temporary.contents() == before);
    const std::string start = folder.string() + ", ";
    return text.starts_with(start) ? text.substr(start.size()) : text;
  };
  auto parameters = parameters_of(tiny());
  parameters.views().norm[4] = std::numeric_limits<float>::infinity();
  CHECK(refused(tiny(), parameters) ==
        "tensor 'model.norm.weight': expected finite numbers, found NaN or infinity at [4]");
  ModelConfig other = tiny();
  other.pattern.front().hidden = 14;
  CHECK(refused(other, parameters_of(tiny())) ==
        "parameter 16 of the model to be saved: expected 'model.layers.0.mlp.gate_proj.weight' [14, 12], found "
        "'model.layers.0.mlp.gate_proj.weight' [10, 12]");
  other = tiny();
  testing::options_of<TttConfig>(other).heads = 4;
  CHECK(refused(other, parameters_of(tiny())) ==
        "TTT layer: head width: expected an even number, for the rotary embedding, found 3");
}

TEST_CASE("a save that is cut off between its two files leaves the new model") {
  const TemporaryFolder temporary;
  const fs::path folder = temporary / "model";
  ModelConfig old = tiny("attention"), fresh = tiny("ttt-mlp", Backbone::mamba);
  const auto parameters = parameters_of(fresh, 2);
  const bool overwrites = GENERATE(true, false);
  if (overwrites) save_model_folder(folder, old, parameters_of(old));
  const std::string config = overwrites ? read_bytes(folder / "config.json") : "";
  save_model_folder(folder, fresh, parameters);
  if (overwrites)
    write_bytes(folder / "config.json", config);
  else
    fs::remove(folder / "config.json");
  const auto loaded = load_model_folder<float>(folder);
  CHECK(loaded.config == fresh);
  CHECK(loaded.parameters.arena() == parameters.arena());
  // A config.json that someone changes later counts: only the one from before the save is known to be old.
  save_model_folder(folder, fresh, parameters);
  auto json = nlohmann::json::parse(read_bytes(folder / "config.json"));
  json["rope_theta"] = 500.0;
  write_bytes(folder / "config.json", json.dump());
  ModelConfig loaded_anew = load_model_folder<float>(folder).config;
  CHECK(testing::options_of<TttConfig>(loaded_anew).rope_theta == 500);
}

TEST_CASE("a process killed while it saves leaves a model that loads", "[process]") {
  const TemporaryFolder temporary;
  const fs::path folder = temporary / "model";
  const std::vector<ModelConfig> configs{tiny("ttt-linear"), tiny("ttt-mlp", Backbone::mamba)};
  const std::vector<Parameters> parameters{parameters_of(configs[0]), parameters_of(configs[1])};
  save_model_folder(folder, configs[0], parameters[0]);
  for (int microseconds = 100; microseconds < 12000; microseconds += 700) {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) save_until_killed(folder, configs, parameters);
    ::usleep(static_cast<useconds_t>(microseconds));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    CHECK(WIFSIGNALED(status));
    const auto loaded = load_model_folder<float>(folder);
    const std::size_t which = loaded.config == configs[0] ? 0 : 1;
    CHECK(loaded.config == configs[which]);
    CHECK(loaded.parameters.arena() == parameters[which].arena());
  }
}

TEST_CASE("a model takes the place of a sharded one") {
  const TemporaryFolder temporary;
  fs::copy(fs::path(TTT_GOLDEN_DIR) / "model" / "ttt_mlp_mamba", temporary / "model");
  CHECK(load_model_folder<float>(temporary / "model").config.vocabulary == 96);
  save_model_folder(temporary / "model", tiny(), parameters_of(tiny()));
  CHECK(load_model_folder<float>(temporary / "model").config == tiny());
}

TEST_CASE("other files of a folder stay") {
  const TemporaryFolder temporary;
  temporary.write("model/notes.txt", "mine");
  save_model_folder(temporary / "model", tiny(), parameters_of(tiny()));
  CHECK(read_bytes(temporary / "model/notes.txt") == "mine");
  CHECK(temporary.contents().size() == 4);  // and the folder itself
}
