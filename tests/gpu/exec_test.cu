// SPDX-License-Identifier: MIT
// Both executors run the same probes on the same random inputs and must leave the same bytes.
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include "common/exec/cuda_device.hpp"
#include "common/exec/cuda_launch.cuh"
#include "tests/gpu/exec_probes.hpp"

namespace llep {
namespace {

using Bytes = std::vector<std::byte>;

template <class T>
const std::byte* bytes_of(const std::vector<T>& values) {
  return reinterpret_cast<const std::byte*>(values.data());
}

template <class T>
Memory upload(Device& device, const std::vector<T>& values) {
  Memory memory = device.allocate(values.size() * sizeof(T));
  device.copy(memory.get(), values.data(), values.size() * sizeof(T));
  return memory;
}

Bytes download(Device& device, const Memory& memory, std::size_t bytes) {
  Bytes values(bytes);
  device.synchronize();
  device.copy(values.data(), memory.get(), bytes);
  return values;
}

template <class Probe>
void launch(Device& device, const GridShape& grid, const Probe& probe) {
  if (device.executor() == ExecutorKind::kHost) {
    launch_on_host(dynamic_cast<HostDevice&>(device), grid, probe);
  } else {
    cuda::launch(dynamic_cast<CudaDevice&>(device), grid, probe);
  }
}

class BothExecutors : public testing::Test {
 protected:
  void SetUp() override {
    if (cuda::num_devices() == 0) GTEST_SKIP() << "no GPU";
    gpu_ = std::make_unique<CudaDevice>(0, 0, 1);
  }

  /// What `run(device)` leaves behind on the GPU is what it leaves on the host.
  template <class F>
  void expect_same(F run) {
    const Bytes on_host = run(host_);
    const Bytes on_gpu = run(*gpu_);
    ASSERT_EQ(on_host.size(), on_gpu.size());
    for (std::size_t i = 0; i < on_host.size(); i += sizeof(std::uint32_t)) {
      std::uint32_t left = 0;
      std::uint32_t right = 0;
      std::memcpy(&left, &on_host[i], sizeof left);
      std::memcpy(&right, &on_gpu[i], sizeof right);
      ASSERT_EQ(left, right) << "32-bit word " << i / sizeof left << ", host and GPU";
    }
  }

  std::mt19937 random_{5};
  HostDevice host_{0, {.num_blocks = 2, .warps_per_block = PrimitiveProbe::kWarps}};
  std::unique_ptr<CudaDevice> gpu_;
};

TEST_F(BothExecutors, primitives) {
  static_assert(PrimitiveProbe::kWarps == cuda::kWarpsPerBlock);
  std::vector<std::int32_t> in(PrimitiveProbe::kMost);
  for (std::int32_t& value : in) value = static_cast<std::int32_t>(random_() % 1'000'000);
  for (const int n : {2, 5, 31, 32, 33, 64, 100, 300}) {
    SCOPED_TRACE(n);
    expect_same([&](Device& device) {
      const Memory from = upload(device, in);
      const std::size_t out_bytes = PrimitiveProbe::kOutWords * sizeof(std::int32_t);
      const Memory out = device.allocate(out_bytes);
      const Memory words = device.allocate(PrimitiveProbe::kSignals * sizeof(std::uint64_t));
      const Memory pairs = device.allocate(2 * kMostPosted * sizeof(TaggedPair));
      launch(device, {.stage_bytes = 128, .shared_bytes = PrimitiveProbe::kSharedBytes},
             PrimitiveProbe{.in = reinterpret_cast<const std::int32_t*>(from.get()),
                            .out = reinterpret_cast<std::int32_t*>(out.get()),
                            .words = reinterpret_cast<std::uint64_t*>(words.get()),
                            .pairs = reinterpret_cast<TaggedPair*>(pairs.get()),
                            .n = n});
      return download(device, out, out_bytes);
    });
  }
}

/// Finite bf16 of every magnitude, zeros and subnormals among them.
std::vector<Bf16> finite_rows(std::mt19937& random, std::size_t n) {
  std::vector<Bf16> rows(n);
  for (Bf16& value : rows) {
    do {
      value = static_cast<Bf16>(random());
    } while ((value & 0x7f80U) == 0x7f80U);
  }
  return rows;
}

class RowProbes : public BothExecutors,
                  public testing::WithParamInterface<std::tuple<RowProbe::Kind, int>> {};

std::string name_of(const testing::TestParamInfo<std::tuple<RowProbe::Kind, int>>& one) {
  static constexpr const char* kNames[] = {"fill",       "poison", "quantize", "staged_quantize",
                                           "dequantize", "sum1",   "sum4",     "pipe"};
  return std::string(kNames[static_cast<int>(std::get<0>(one.param))]) + "_H" +
         std::to_string(std::get<1>(one.param));
}

INSTANTIATE_TEST_SUITE_P(
    EachKind, RowProbes,
    testing::Combine(testing::Values(RowProbe::Kind::kFill, RowProbe::Kind::kPoison,
                                     RowProbe::Kind::kQuantize, RowProbe::Kind::kStagedQuantize,
                                     RowProbe::Kind::kDequantize, RowProbe::Kind::kSum1,
                                     RowProbe::Kind::kSum4, RowProbe::Kind::kPipe),
                     testing::Values(128, 384, 2048, 7168)),
    name_of);

TEST_P(RowProbes, leave_the_same_bytes) {
  constexpr int kRows = 200;
  RowProbe probe{.kind = std::get<0>(GetParam()), .hidden = std::get<1>(GetParam()),
                 .num_rows = kRows};
  const auto in = finite_rows(random_, (kRows + 32) * static_cast<std::size_t>(probe.hidden));
  std::vector<float> weights(kRows + 32);
  for (float& weight : weights) weight = std::normal_distribution<float>()(random_);
  expect_same([&](Device& device) {
    const Memory from = upload(device, in);
    const Memory by = upload(device, weights);
    const std::size_t out_bytes = kRows * static_cast<std::size_t>(probe.stride());
    const Memory out = device.allocate(out_bytes);
    probe.in = reinterpret_cast<const Bf16*>(from.get());
    probe.weights = reinterpret_cast<const float*>(by.get());
    probe.out = out.get();
    launch(device, {.stage_bytes = 16 * 1024}, probe);
    return download(device, out, out_bytes);
  });
}

TEST_F(BothExecutors, quantize_every_bf16) {
  // Neighbours in a group, then values of all magnitudes: an odd step visits every code. NaNs are
  // quiet ones: a signaling NaN is worth what the platform's fmax makes of it.
  for (const std::uint32_t step : {1U, 257U, 511U}) {
    std::vector<Bf16> in(0x10000);
    for (std::uint32_t i = 0; i < 0x10000; ++i) {
      in[i] = static_cast<Bf16>(i * step);
      if ((in[i] & 0x7fffU) > 0x7f80U) in[i] |= 0x40U;
    }
    in.resize(in.size() + 32 * 128);  // RowProbe's further rows
    expect_same([&](Device& device) {
      const Memory from = upload(device, in);
      const RowProbe layout{.hidden = 128, .num_rows = 512};
      const Memory out = device.allocate(512 * static_cast<std::size_t>(layout.stride()));
      launch(device, {.stage_bytes = 128},
             RowProbe{.kind = RowProbe::Kind::kQuantize,
                      .in = reinterpret_cast<const Bf16*>(from.get()),
                      .out = out.get(),
                      .hidden = 128,
                      .num_rows = 512});
      return download(device, out, 512 * static_cast<std::size_t>(layout.stride()));
    });
  }
}

TEST_F(BothExecutors, codecs_and_lowest_bit) {
  std::vector<std::uint32_t> in(CodecProbe::kNum);
  for (std::uint32_t& word : in) word = random_();
  expect_same([&](Device& device) {
    const Memory from = upload(device, in);
    const std::size_t out_bytes = 5 * CodecProbe::kNum * sizeof(std::uint32_t);
    const Memory out = device.allocate(out_bytes);
    launch(device, {.stage_bytes = 128},
           CodecProbe{.in = reinterpret_cast<const std::uint32_t*>(from.get()),
                      .out = reinterpret_cast<std::uint32_t*>(out.get())});
    return download(device, out, out_bytes);
  });
}

TEST_F(BothExecutors, compare_finds_the_first_bad_word) {
  constexpr int kRows = 50;
  constexpr int kWords = 96;
  for (const int bad_row : {-1, 0, 17, 49}) {
    std::vector<std::uint32_t> seen(kRows * kWords);
    for (std::uint32_t& word : seen) word = random_();
    const std::vector<std::uint32_t> expected = seen;
    if (bad_row >= 0) {
      for (const int word : {95, 40, 63}) seen[bad_row * kWords + word] ^= 0x100U;
      seen[(kRows - 1) * kWords + 94] ^= 1U;
    }
    std::vector<ComparedRow> rows;
    for (std::uint64_t r = 0; r < kRows; ++r) rows.push_back({r * kWords * 4, r * kWords * 4});
    expect_same([&](Device& device) {
      const Memory left = upload(device, seen);
      const Memory right = upload(device, expected);
      const Memory list = upload(device, rows);
      const Memory first_bad = device.allocate_pinned(sizeof(std::uint64_t));
      std::memset(first_bad.get(), 0xff, sizeof(std::uint64_t));
      launch(device, {.stage_bytes = 128},
             CompareRows{.seen = left.get(),
                         .expected = right.get(),
                         .num_words = kWords,
                         .rows = reinterpret_cast<const ComparedRow*>(list.get()),
                         .num_rows = kRows,
                         .first_bad = reinterpret_cast<std::uint64_t*>(first_bad.get())});
      device.synchronize();
      const auto found = *reinterpret_cast<const std::uint64_t*>(first_bad.get());
      EXPECT_EQ(found, bad_row < 0 ? CompareRows::kEqual
                                   : static_cast<std::uint64_t>(bad_row) << 32 | 40U);
      return Bytes(first_bad.get(), first_bad.get() + sizeof found);
    });
  }
}

}  // namespace
}  // namespace llep
