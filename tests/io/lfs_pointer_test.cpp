// SPDX-License-Identifier: MIT
#include "ttt/io/lfs_pointer.hpp"

#include "support/catch.hpp"
#include "support/error_message.hpp"
#include "support/temporary_folder.hpp"
#include "ttt/io/safetensors_set.hpp"
#include "ttt/io/tokenizer.hpp"

using ttt::testing::contains;
using ttt::testing::error_message;

namespace {

const std::string pointer =
    "version https://git-lfs.github.com/spec/v1\n"
    "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
    "size 4976698672\n";

}  // namespace

TEST_CASE("a Git LFS pointer is called that wherever a file of a model is read, and the way to the file is said") {
  const ttt::testing::TemporaryFolder folder;
  const auto refused = [&](const std::string& name, auto open) {
    const std::string path = folder.write(name, pointer);
    CHECK(contains(error_message([&] { open(path); }), path + ": expected the file itself", "Git LFS pointer",
                   "'git lfs pull'"));
  };
  for (const auto access : {ttt::io::Access::copied, ttt::io::Access::mapped})
    refused("model.safetensors", [&](const std::string& path) { ttt::io::SafetensorsFile::open(path, access); });
  refused("model.safetensors.index.json", [](const std::string& path) { ttt::io::open_set(path); });
  refused("tokenizer.json", [](const std::string& path) { ttt::io::Tokenizer::load(path); });
}

TEST_CASE("what only resembles a pointer passes") {
  const ttt::testing::TemporaryFolder folder;
  for (const std::string text : {"", "version", "version https://git-lfs.example.com/spec/v1\n"})
    CHECK(error_message([&] { ttt::io::refuse_lfs_pointer(folder.write("file", text)); }).empty());
  CHECK(contains(error_message([&] { ttt::io::refuse_lfs_pointer(folder / "missing"); }), "missing", "cannot open"));
}
