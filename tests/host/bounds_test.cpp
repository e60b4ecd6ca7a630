// SPDX-License-Identifier: MIT
// Nothing is written out of bounds, whatever the routing says and whatever never came: ranks run
// their halves in turn on one thread, all memory lies between canaries.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "kernels/launcher.hpp"
#include "kernels/payload.hpp"
#include "transport/ipc/ipc_wire.hpp"

namespace llep {
namespace {

std::size_t size(std::int64_t n) { return static_cast<std::size_t>(n); }

/// n values, zeroed, with a page of canaries on each side.
template <class T>
class Guarded {
 public:
  explicit Guarded(std::size_t n) : n_(n), memory_(kMargin * 2 + n * sizeof(T) / 16 + 1) {
    std::fill_n(bytes(), memory_.size() * sizeof(Vec16), kCanary);
    std::fill_n(bytes() + kMarginBytes, n_ * sizeof(T), std::byte{0});
  }
  T* data() { return reinterpret_cast<T*>(memory_.data() + kMargin); }
  std::span<T> span() { return {data(), n_}; }
  std::size_t num_bytes() const { return n_ * sizeof(T); }
  bool intact() {
    const auto canary = [](std::byte b) { return b == kCanary; };
    return std::all_of(bytes(), bytes() + kMarginBytes, canary) &&
           std::all_of(bytes() + kMarginBytes + num_bytes(),
                       bytes() + memory_.size() * sizeof(Vec16), canary);
  }

 private:
  static constexpr std::size_t kMargin = 256;
  static constexpr std::size_t kMarginBytes = kMargin * sizeof(Vec16);
  static constexpr std::byte kCanary{0xa5};
  std::byte* bytes() { return reinterpret_cast<std::byte*>(memory_.data()); }

  std::size_t n_;
  std::vector<Vec16> memory_;
};

/// One rank's memory and device.
class Rank {
 public:
  Rank(int rank, const EpAxes& axes)
      : rank_(rank),
        plan_(plan_layout(axes)),
        shape_(axes.shape),
        device_(rank, {.num_blocks = 2, .warps_per_block = 3}),
        launcher_(make_launcher(device_)),
        topk(selections()),
        out(size(shape_.max_tokens) * size(shape_.hidden)),
        packed(rows() * size(shape_.hidden) * sizeof(Bf16)),
        scales(rows() * size(shape_.num_scales())),
        counts(size(shape_.num_local_experts())),
        src_info(rows()),
        ranges(size(shape_.num_experts)),
        heap(plan_.fields.total_bytes()),
        entries_(size(shape_.capacity() * shape_.num_topk)),
        first_entry_(size(shape_.num_ranks + 1)),
        dispatch_epochs_(2),
        combine_epochs_(2),
        x_(size(shape_.max_tokens) * size(shape_.hidden)),
        weights_(selections()),
        expert_output_(rows() * size(shape_.hidden)) {
    device_.faults().timeout_ns = 30'000'000;
    fill(x_.span(), 1);
    fill(expert_output_.span(), 2);
    std::fill_n(weights_.data(), selections(), 0.5F);
  }

  void dispatch(Halves halves, const IpcWire& wire) {
    const bool fp8 = plan_.layout.dtype == DispatchDtype::kFp8;
    launcher_->dispatch(halves, mine(wire),
                        {.layout = plan_.layout,
                         .rank = rank_,
                         .state = {.blocks = dispatch_epochs_.data()},
                         .in = {.num_tokens = shape_.max_tokens,
                                .x = x_.data(),
                                .topk_idx = topk.data()},
                         .out = {.packed_recv_x = packed.data(),
                                 .packed_recv_scales = fp8 ? scales.data() : nullptr,
                                 .packed_recv_count = counts.data(),
                                 .src_info = src_info.data(),
                                 .layout_range = ranges.data()},
                         .books = books()});
  }
  void combine(Halves halves, const IpcWire& wire) {
    launcher_->combine(halves, mine(wire),
                       {.layout = plan_.layout,
                        .rank = rank_,
                        .state = {.blocks = combine_epochs_.data()},
                        .in = {.expert_output = expert_output_.data(),
                               .num_tokens = shape_.max_tokens,
                               .topk_idx = topk.data(),
                               .topk_weights = weights_.data()},
                        .books = books(),
                        .out = out.data()});
  }
  const FaultRecord& fault() { return *device_.faults().record; }

  void expect_intact() {
    const auto check = [&](auto& memory, const char* what) {
      EXPECT_TRUE(memory.intact()) << "rank " << rank_ << ": written beside " << what;
    };
    check(topk, "topk_idx");
    check(out, "the combined rows");
    check(packed, "packed_recv_x");
    check(scales, "the scales");
    check(counts, "packed_recv_count");
    check(src_info, "src_info");
    check(ranges, "layout_range");
    check(heap, "the heap");
    check(entries_, "the books");
    check(first_entry_, "the books' boundaries");
    check(dispatch_epochs_, "dispatch's epochs");
    check(combine_epochs_, "combine's epochs");
    EXPECT_LE(first_entry_.span().back(), shape_.capacity() * shape_.num_topk)
        << "rank " << rank_ << ": combine would read beyond the books";
  }

 private:
  std::size_t selections() const { return size(shape_.max_tokens) * size(shape_.num_topk); }
  std::size_t rows() const { return size(shape_.num_local_experts() * shape_.capacity()); }
  Books books() { return {.entries = entries_.data(), .first_entry = first_entry_.data()}; }
  AnyWire mine(IpcWire wire) const {
    wire.rank = rank_;
    return wire;
  }
  void fill(std::span<Bf16> values, std::uint64_t salt) const {
    const std::uint64_t key = payload_row_key({.seed = salt, .rank = rank_});
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = payload_value(key, static_cast<int>(i));
    }
  }

  int rank_;
  PlannedLayout plan_;
  MoeShape shape_;
  HostDevice device_;
  std::unique_ptr<Launcher> launcher_;

 public:
  Guarded<std::int64_t> topk;
  Guarded<Bf16> out;
  Guarded<std::byte> packed;
  Guarded<float> scales;
  Guarded<std::int32_t> counts;
  Guarded<std::int32_t> src_info;
  Guarded<std::int64_t> ranges;
  Guarded<std::byte> heap;

 private:
  Guarded<BookEntry> entries_;
  Guarded<std::int32_t> first_entry_;
  Guarded<BlockEpochs> dispatch_epochs_;
  Guarded<BlockEpochs> combine_epochs_;
  Guarded<Bf16> x_;
  Guarded<float> weights_;
  Guarded<Bf16> expert_output_;
};

/// All ranks of a shape, connected.
class Ranks {
 public:
  /// topk(rank, token, k)
  template <class F>
  Ranks(const EpAxes& axes, F topk) {
    for (int r = 0; r < axes.shape.num_ranks; ++r) {
      ranks_.push_back(std::make_unique<Rank>(r, axes));
      wire_.bases[r] = ranks_.back()->heap.data();
      for (int i = 0; i < axes.shape.max_tokens * axes.shape.num_topk; ++i) {
        ranks_.back()->topk.data()[i] = topk(r, i / axes.shape.num_topk, i % axes.shape.num_topk);
      }
    }
  }
  Rank& operator[](int r) { return *ranks_[size(r)]; }
  const IpcWire& wire() const { return wire_; }

  /// A dispatch and a combine of all ranks.
  void run() {
    for (const Halves halves : {Halves::kSend, Halves::kReceive}) {
      for (auto& rank : ranks_) rank->dispatch(halves, wire_);
    }
    for (const Halves halves : {Halves::kSend, Halves::kReceive}) {
      for (auto& rank : ranks_) rank->combine(halves, wire_);
    }
  }
  void expect_intact() {
    for (auto& rank : ranks_) rank->expect_intact();
  }

 private:
  std::vector<std::unique_ptr<Rank>> ranks_;
  IpcWire wire_;
};

template <class F>
void for_each_window(const MoeShape& shape, F f) {
  for (const auto dtype : {DispatchDtype::kBf16, DispatchDtype::kFp8}) {
    for (const auto copies : {DispatchCopies::kRank, DispatchCopies::kSelection}) {
      SCOPED_TRACE(std::string(to_string(dtype)) + " " + to_string(copies));
      f(EpAxes{.shape = shape, .dtype = dtype, .copies = copies});
    }
  }
}

template <class T>
bool same(Guarded<T>& a, Guarded<T>& b) {
  return std::memcmp(a.data(), b.data(), a.num_bytes()) == 0;
}

TEST(Bounds, ids_out_of_range_are_as_good_as_masked) {
  constexpr MoeShape kShape = {
      .num_ranks = 3, .num_experts = 9, .max_tokens = 5, .hidden = 256, .num_topk = 4};
  constexpr std::int64_t kNone[] = {-7, 9, std::int64_t{1} << 40, (std::int64_t{1} << 40) + 2,
                                    (std::int64_t{1} << 16) + 3, -(std::int64_t{1} << 32) + 4};
  for_each_window(kShape, [&](const EpAxes& axes) {
    const auto topk = [&](int rank, int token, int k, bool masked) {
      if ((rank + token + k) % 3 != 0) return std::int64_t{(token + rank + 2 * k) % 9};
      return masked ? -1 : kNone[(rank + token * 4 + k) % 6];
    };
    Ranks odd(axes, [&](int r, int t, int k) { return topk(r, t, k, false); });
    Ranks even(axes, [&](int r, int t, int k) { return topk(r, t, k, true); });
    odd.run();
    even.run();
    odd.expect_intact();
    for (int r = 0; r < kShape.num_ranks; ++r) {
      EXPECT_EQ(odd[r].fault().phase, WaitPhase::kNone);
      EXPECT_TRUE(same(odd[r].packed, even[r].packed));
      EXPECT_TRUE(same(odd[r].scales, even[r].scales));
      EXPECT_TRUE(same(odd[r].counts, even[r].counts));
      EXPECT_TRUE(same(odd[r].src_info, even[r].src_info));
      EXPECT_TRUE(same(odd[r].ranges, even[r].ranges));
      EXPECT_TRUE(same(odd[r].out, even[r].out));
      EXPECT_TRUE(same(odd[r].heap, even[r].heap));
    }
  });
}

TEST(Bounds, every_selection_the_same_expert) {
  // More rows than an expert has room for, more copies than a token has slots. What combine waits
  // for may never come.
  for (const int expert : {0, 5}) {
    for (const MoeShape& shape : {MoeShape{3, 6, 4, 128, 4}, MoeShape{1, 8, 3, 256, 8},
                                  MoeShape{2, 64, 3, 128, 32}}) {
      for_each_window(shape, [&](const EpAxes& axes) {
        Ranks ranks(axes, [&](int, int, int) { return expert; });
        ranks.run();
        ranks.expect_intact();
      });
    }
  }
}

constexpr MoeShape kOddTables = {
    .num_ranks = 5, .num_experts = 10, .max_tokens = 1, .hidden = 128, .num_topk = 1};

TEST(Bounds, peers_that_never_come) {
  for_each_window(kOddTables, [&](const EpAxes& axes) {
    for (const int lonely : {0, 4}) {
      Ranks ranks(axes, [](int, int, int) { return 0; });
      ranks[lonely].dispatch(Halves::kBoth, ranks.wire());
      EXPECT_EQ(ranks[lonely].fault().phase, WaitPhase::kDispatchRouting);
      ranks.expect_intact();
      ranks[lonely].combine(Halves::kBoth, ranks.wire());
      ranks.expect_intact();
    }
  });
}

TEST(Bounds, routing_that_is_garbage) {
  for (const MoeShape& shape : {kOddTables, MoeShape{2, 8, 5, 128, 3}}) {
    for_each_window(shape, [&](const EpAxes& axes) {
      for (unsigned seed = 0; seed < 8; ++seed) {
        Ranks ranks(axes, [](int, int token, int k) { return token + k; });
        std::mt19937 random(seed);
        for (std::byte& one : ranks[0].heap.span()) {
          one = seed == 0 ? std::byte{0} : static_cast<std::byte>(random());
        }
        // Half of the random words carry an epoch that has long been reached: they are taken as
        // they are. Small ids are likely: a byte in two is 0.
        for (std::byte& one : ranks[0].heap.span()) {
          if (random() % 2 == 0) one = std::byte{0};
        }
        ranks[0].dispatch(Halves::kBoth, ranks.wire());
        ranks.expect_intact();
        ranks[0].combine(Halves::kBoth, ranks.wire());
        ranks.expect_intact();
      }
    });
  }
}

}  // namespace
}  // namespace llep
