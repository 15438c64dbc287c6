// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <type_traits>
#include <utility>
#include <vector>

#include "ttt/core/large_pages.hpp"
#include "ttt/core/view.hpp"

TTT_NAMESPACE_BEGIN

/// Bytes to which every tensor, arena and buffer is aligned: one weight panel row (two 64-byte cache lines).
inline constexpr Index alignment = 128;

/// Smallest multiple of `alignment` bytes that holds `count` scalars, in scalars.
template <class Scalar>
constexpr Index aligned_size(Index count) {
  constexpr Index unit = alignment / static_cast<Index>(sizeof(Scalar));
  return (count + unit - 1) / unit * unit;
}

/// An aligned, contiguous array that is a value: copied, moved, compared bit for bit. New elements are zero.
template <class Scalar>
class Buffer {
  static_assert(std::is_trivially_copyable_v<Scalar>);

 public:
  Buffer() = default;
  explicit Buffer(Index size) : data_(allocate(size)), size_(size) {}
  Buffer(const Buffer& other) : data_(allocate(other.size_)), size_(other.size_) { copy_from(other); }
  Buffer(Buffer&& other) noexcept : data_(std::move(other.data_)), size_(std::exchange(other.size_, 0)) {}
  /// Keeps its memory when the sizes agree, so that restoring a state allocates nothing.
  Buffer& operator=(const Buffer& other) {
    if (this == &other) return *this;
    if (size_ != other.size_) return *this = Buffer(other);
    copy_from(other);
    return *this;
  }
  Buffer& operator=(Buffer&& other) noexcept {
    if (data_ && !data_.get_deleter().allocated && size_ == other.size_) return *this = std::as_const(other);
    data_ = std::move(other.data_);
    size_ = std::exchange(other.size_, 0);
    return *this;
  }

  /// Memory of someone else as a buffer, valid as long as that is: assigning one of the same size writes into it, a
  /// copy has memory of its own.
  static Buffer lent(Scalar* data, Index size) {
    Buffer buffer;
    buffer.data_ = Pointer(data, Free{});
    buffer.size_ = size;
    return buffer;
  }

  Scalar* data() { return data_.get(); }
  const Scalar* data() const { return data_.get(); }
  Index size() const { return size_; }
  Scalar& operator[](Index i) { return data_[static_cast<std::size_t>(i)]; }
  const Scalar& operator[](Index i) const { return data_[static_cast<std::size_t>(i)]; }
  void clear() {
    if (size_ > 0) std::memset(static_cast<void*>(data()), 0, bytes());
  }
  std::size_t bytes() const { return static_cast<std::size_t>(size_) * sizeof(Scalar); }

  /// Bitwise equality: tells -0 from +0 and finds a NaN equal to itself.
  friend bool operator==(const Buffer& a, const Buffer& b) {
    return a.size_ == b.size_ && (a.size_ == 0 || std::memcmp(a.data(), b.data(), a.bytes()) == 0);
  }

 private:
  struct Free {
    void* allocated = nullptr;
    void operator()(Scalar*) const { std::free(allocated); }
  };
  using Pointer = std::unique_ptr<Scalar[], Free>;

  // Zeros: large memory fresh from the system is zero already, and calloc knows, so that a model which is read into it
  // is written once.
  static Pointer allocate(Index size) {
    if (size == 0) return {};
    constexpr std::size_t room = alignment;
    const std::size_t bytes = static_cast<std::size_t>(size) * sizeof(Scalar);
    void* const allocated = std::calloc(bytes + room, 1);
    if (!allocated) throw std::bad_alloc();
    prefer_large_pages(allocated, bytes + room);
    const std::size_t past = reinterpret_cast<std::uintptr_t>(allocated) % room;
    auto* const aligned = static_cast<std::byte*>(allocated) + (room - past) % room;
    return Pointer(reinterpret_cast<Scalar*>(aligned), Free{allocated});
  }
  void copy_from(const Buffer& other) {
    if (size_ > 0) std::memcpy(static_cast<void*>(data()), other.data(), bytes());
  }

  Pointer data_;
  Index size_ = 0;
};

/// A stack of memory for temporaries: `Frame` remembers the top and gives everything above it back. It grows by whole
/// blocks and keeps them, so that the same work done twice allocates only once.
class Arena {
  /// How far a block is in use; where there is no memory yet, block 0 is the next.
  struct Top {
    std::byte* data = nullptr;
    Index room = 0, used = 0;
    std::size_t block = 0;
  };

 public:
  Arena() = default;
  explicit Arena(Index bytes) { reserve(bytes); }
  /// Bytes that `lay_out(arena)` allocates, which are counted only: what it gets is null.
  template <class LayOut>
  static Index count(LayOut&& lay_out) {
    Arena counting;
    counting.counts_ = true;
    lay_out(counting);
    return counting.top_.used;
  }
  Arena(Arena&& other) noexcept { *this = std::move(other); }
  Arena& operator=(Arena&& other) noexcept {
    blocks_ = std::move(other.blocks_);
    top_ = std::exchange(other.top_, {});
    counts_ = other.counts_;
    return *this;
  }

  /// Uninitialised memory for `count` scalars, aligned; valid until the enclosing Frame ends or `reset`.
  template <class Scalar>
  Scalar* allocate(Index count) {
    static_assert(std::is_trivially_destructible_v<Scalar>);
    return static_cast<Scalar*>(allocate_bytes(aligned_size<std::byte>(count * static_cast<Index>(sizeof(Scalar)))));
  }
  template <class Scalar>
  MatrixView<Scalar> matrix(Index rows, Index columns) {
    return {allocate<Scalar>(rows * columns), rows, columns};
  }
  /// The same, each row aligned: where columns do not fill whole units, a gap follows each row.
  template <class Scalar>
  MatrixView<Scalar> aligned_rows(Index rows, Index columns) {
    const Index stride = aligned_size<Scalar>(columns);
    return {allocate<Scalar>(rows * stride), rows, columns, stride};
  }
  template <class Scalar>
  MatrixView<Scalar> zeros(Index rows, Index columns) {
    const auto view = matrix<Scalar>(rows, columns);
    std::fill_n(view.data(), rows * columns, Scalar(0));
    return view;
  }
  template <class Scalar>
  VectorView<Scalar> vector(Index size) {
    return {allocate<Scalar>(size), size};
  }

  /// Gives everything back at once; the memory stays for the next use.
  void reset() { top_ = {}; }
  void reserve(Index bytes) {
    if (blocks_.empty() || blocks_.back().size() < bytes) blocks_.emplace_back(aligned_size<std::byte>(bytes));
  }
  /// Gives everything back, makes room for exactly what `lay_out(arena)` allocates and returns what that gives; the
  /// same again allocates nothing.
  template <class LayOut>
  auto lay_out_anew(LayOut&& lay_out) {
    const Index needed = count(lay_out);
    if (static_cast<Index>(bytes()) < needed) *this = Arena(needed);
    reset();
    return lay_out(*this);
  }
  /// Bytes held, in use or not.
  std::size_t bytes() const {
    std::size_t sum = 0;
    for (const auto& block : blocks_) sum += block.bytes();
    return sum;
  }

  /// Scope of temporaries.
  class Frame {
   public:
    explicit Frame(Arena& arena) : arena_(arena), top_(arena.top_) {}
    Frame(const Frame&) = delete;
    Frame& operator=(const Frame&) = delete;
    ~Frame() { arena_.top_ = top_; }

   private:
    Arena& arena_;
    Top top_;
  };

 private:
  void* allocate_bytes(Index bytes) {
    if (top_.used + bytes > top_.room) return allocate_further_on(bytes);
    return top_.data + std::exchange(top_.used, top_.used + bytes);
  }
  [[gnu::noinline]] void* allocate_further_on(Index bytes) {
    if (counts_) return top_.used += bytes, nullptr;
    std::size_t block = top_.block + (top_.data ? 1 : 0);
    while (block < blocks_.size() && blocks_[block].size() < bytes) ++block;
    if (block == blocks_.size()) blocks_.emplace_back(std::max(bytes, block == 0 ? 0 : 2 * blocks_.back().size()));
    top_ = {blocks_[block].data(), blocks_[block].size(), bytes, block};
    return top_.data;
  }

  std::vector<Buffer<std::byte>> blocks_;
  Top top_;
  bool counts_ = false;
};

TTT_NAMESPACE_END
