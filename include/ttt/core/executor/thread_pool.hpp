// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "ttt/core/error.hpp"
#include "ttt/core/executor/base.hpp"

TTT_NAMESPACE_BEGIN

/// A fixed set of threads; the caller works along as worker 0. Good for tasks of a few microseconds: a thread that has
/// run out of work looks out for more for some tens of microseconds before it sleeps, and one that comes too late is
/// not waited for. With more workers than processors none looks out. While one thread's `run` is shared, another's runs
/// on that other thread alone. Fewer than 1 worker means 1.
class ThreadPool final : public Executor {
 public:
  /// As many as the gate counts; far more than share the work of one model well.
  static constexpr Index most_workers = 1024;

  /// Throws Error for more than `most_workers`, and when the system starts no more threads; those it has started end.
  explicit ThreadPool(Index workers) : ThreadPool() {
    if (workers > most_workers)
      throw_unexpected("thread pool", "at most " + std::to_string(most_workers) + " workers", std::to_string(workers));
    if (workers > static_cast<Index>(std::thread::hardware_concurrency())) patience_ = 0;
    for (Index worker = 1; worker < workers; ++worker) start(worker);
  }
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() override {
    gate_.fetch_or(stop);
    gate_.notify_all();
    for (auto& thread : threads_) thread.join();
  }

  Index workers() const override { return static_cast<Index>(threads_.size()) + 1; }

  void run(Index count, Task task) override {
    if (threads_.empty() || detail::SharedRun::needless(count) || busy_.exchange(true, std::memory_order_acquire))
      return detail::run_here(*this, count, task);
    detail::SharedRun shared(*this, count, task);
    run_ = &shared;
    open(std::min<Index>(count, workers()) - 1);
    shared.work(0);
    close();
    busy_.store(false, std::memory_order_release);
    shared.rethrow();
  }

 private:
  // The gate in one word: bit 0 stops the threads, then the number of seats left in the run (none: nothing to join), of
  // threads that have joined it and not left, and of the run, so that no thread joins twice. That number comes round
  // again; a thread that slept as long misses one run.
  using Word = std::uint32_t;
  static constexpr Word stop = 1, seat = 1u << 1, seats = 1023u << 1, guest = 1u << 11, guests = 1023u << 11,
                        turn = 1u << 21, turns = ~Word{0} << 21;
  static constexpr int default_patience = 1000;  // pauses, of 40 to 80 ns on the x86 processors of these years

  ThreadPool() = default;  // complete before threads start, so that one that cannot start leaves nothing behind

  void start(Index worker) {
    try {
      threads_.emplace_back([this, worker] { serve(worker); });
    } catch (const std::system_error& error) {
      throw Error("thread pool: cannot start more than " + std::to_string(worker - 1) +
                  " threads: " + error.code().message());
    }
  }

  void open(Index wanted) {
    const Word free = static_cast<Word>(std::min<Index>(wanted, 1023)) * seat;
    gate_.fetch_add(turn + free);
    if (wanted == 1)
      gate_.notify_one();
    else
      gate_.notify_all();
  }

  /// Nobody joins any more; waits for those who have.
  void close() {
    gate_.fetch_and(~seats);
    const auto empty = [&] { return (gate_.load(std::memory_order_acquire) & guests) == 0; };
    for (int left = patience_; left > 0; --left) {
      if (empty()) return;
      pause();
    }
    for (;;) {
      const Word departures = departures_.load();
      if (empty()) return;
      departures_.wait(departures);
    }
  }

  void serve(Index worker) {
    Word seen = 0;
    for (int left = patience_;;) {
      Word gate = gate_.load(std::memory_order_acquire);
      if (gate & stop) return;
      if ((gate & seats) != 0 && (gate & turns) != seen) {
        if (!gate_.compare_exchange_strong(gate, gate - seat + guest)) continue;
        seen = gate & turns;
        run_->work(worker);
        leave();
        left = patience_;
      } else if (left > 0) {
        --left;
        pause();
      } else {
        gate_.wait(gate);
        left = patience_;
      }
    }
  }

  void leave() {
    const Word before = gate_.fetch_sub(guest);
    if ((before & guests) != guest || (before & seats) != 0) return;  // not the last one, or the caller still works
    departures_.fetch_add(1);
    departures_.notify_one();
  }

  static void pause() {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#else
    std::this_thread::yield();
#endif
  }

  std::vector<std::thread> threads_;
  detail::SharedRun* run_ = nullptr;
  int patience_ = default_patience;
  std::atomic<bool> busy_ = false;
  alignas(64) std::atomic<Word> gate_ = 0;
  alignas(64) std::atomic<Word> departures_ = 0;
};

TTT_NAMESPACE_END
