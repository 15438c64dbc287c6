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

TEST_CASE("files in the layout of the Hugging Face cache, links to blobs beside the snapshot, are read") {
  const TemporaryFolder cache;
  const std::array<float, 1> value{7};
  const auto link = [&](const std::string& name, const std::string& blob) {
    std::filesystem::create_symlink("../../blobs/" + blob, cache / "snapshots/0123abcd" / name);
  };
  std::filesystem::create_directories(cache / "snapshots/0123abcd");
  std::filesystem::create_directories(cache / "blobs");
  const std::array<std::string, 2> files{"model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"};
  for (std::size_t i = 0; i < files.size(); ++i) {
    const std::string blob(64, i == 0 ? 'a' : 'b');
    write_safetensors(cache / "blobs" / blob,
                      std::vector{tensor_source(i == 0 ? "t" : "u", {1}, std::span<const float>(value))});
    link(files[i], blob);
  }
  cache.write("blobs/index", R"({"weight_map":{"t":")" + files[0] + R"(","u":")" + files[1] + R"("}})");
  link("model.safetensors.index.json", "index");
  const auto folder = cache / "snapshots/0123abcd";
  for (const Access access : {Access::copied, Access::mapped})
    CHECK(open_set(folder, access).values<float>("u") == std::vector<float>{7});
  std::filesystem::remove(cache / "blobs" / std::string(64, 'b'));
  CHECK(contains(error_message([&] { open_set(folder); }), "index.json", "'" + files[1] + "'", "No such file"));
}
