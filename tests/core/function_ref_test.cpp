// SPDX-License-Identifier: MIT
#include "ttt/core/function_ref.hpp"

#include <memory>

#include "support/catch.hpp"

using ttt::FunctionRef;

namespace {

int call(FunctionRef<int(int, std::unique_ptr<int>)> function) { return function(3, std::make_unique<int>(4)); }

}  // namespace

TEST_CASE("a function reference calls what it refers to and changes it") {
  int calls = 0;
  const auto multiply = [&](int a, std::unique_ptr<int> b) {
    ++calls;
    return a * *b;
  };
  CHECK(call(multiply) == 12);
  CHECK(call([](int a, const std::unique_ptr<int>& b) { return a - *b; }) == -1);
  struct Counter {
    int count = 0;
    void operator()(int step) { count += step; }
  } counter;
  const FunctionRef<void(int)> reference(counter), copied = reference;
  reference(2);
  copied(5);
  CHECK(counter.count == 7);
  CHECK(calls == 1);
  static_assert(!std::is_constructible_v<FunctionRef<int(int)>, void (*)(std::string)>);
}
