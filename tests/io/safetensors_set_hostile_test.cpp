// SPDX-License-Identifier: MIT
// The files of tests/io/hostile, opened as users open them; its folders are in models/loaders/model_folder_test.cpp.
#include <sys/resource.h>
#include <sys/wait.h>

#include "io/hostile/expected.hpp"
#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/safetensors_writer.hpp"

using namespace ttt::io;
using ttt::testing::contains;
using ttt::testing::error_message;
using ttt::testing::TemporaryFolder;

namespace {

const std::filesystem::path hostile = ttt::testing::hostile_folder;

std::size_t files_below(const std::filesystem::path& folder) {
  std::size_t count = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) count += entry.is_regular_file();
  return count;
}

}  // namespace

TEST_CASE("every hostile file is refused in one line that says why, copied and mapped") {
  const auto cases = ttt::testing::hostile_files({"tensors/", "indices/"});
  CHECK(cases.size() + 1 == files_below(hostile / "tensors") + files_below(hostile / "indices"));
  for (const auto& [path, words] : cases) {
    for (const Access access : {Access::copied, Access::mapped}) {
      const std::string message = error_message([&] { open_set(path, access); });
      CAPTURE(path, message);
      CHECK(contains(message, path.filename().string()));
      CHECK(message.find('\n') == std::string::npos);
      for (const std::string& word : words) CHECK(contains(message, word));
    }
  }
}

TEST_CASE("hostile files are refused within 64 MB of memory and ten seconds") {
  const auto cases = ttt::testing::hostile_files({"tensors/", "indices/"});
  const pid_t child = ::fork();
  if (child == 0) {
    std::size_t pages = 0;
    std::ifstream("/proc/self/statm") >> pages;
    const rlim_t memory = pages * static_cast<rlim_t>(::sysconf(_SC_PAGESIZE)) + (rlim_t{64} << 20);
    const rlimit memory_limit{memory, memory}, time_limit{10, 10};
    ::setrlimit(RLIMIT_AS, &memory_limit);
    ::setrlimit(RLIMIT_CPU, &time_limit);
    std::size_t refused = 0;
    for (const auto& [path, words] : cases) refused += !error_message([&] { open_set(path); }).empty();
    ::_exit(refused == cases.size() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  CHECK(status == 0);
}

TEST_CASE("an index reaches nothing outside its folder through a link, of a file or of the folder itself") {
  const TemporaryFolder outside, folder;
  const std::array<float, 1> value{1};
  const auto write = [&](const std::filesystem::path& path) {
    write_safetensors(path, std::vector{tensor_source("t", {1}, std::span<const float>(value))});
  };
  write(outside / "secret.safetensors");
  folder.write("model.safetensors.index.json", R"({"weight_map":{"t":"part.safetensors"}})");
  std::filesystem::create_symlink(outside / "secret.safetensors", folder / "part.safetensors");
  CHECK(contains(error_message([&] { open_set(folder.path()); }), "'part.safetensors'", "link that leads out"));
  std::filesystem::remove(folder / "part.safetensors");
  std::filesystem::create_symlink("../" + outside.path().filename().string() + "/secret.safetensors",
                                  folder / "part.safetensors");
  CHECK(contains(error_message([&] { open_set(folder.path()); }), "'part.safetensors'", "link that leads out"));
  std::filesystem::remove(folder / "part.safetensors");
  write(folder / "part.safetensors");
  std::filesystem::create_directory_symlink(folder.path(), outside / "model");
  CHECK(open_set(outside / "model").find("t") != nullptr);
}
