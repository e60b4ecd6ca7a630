// SPDX-License-Identifier: MIT
// Runs under mpirun.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <span>
#include <string>

#include "common/exec/host_device.hpp"
#include "common/mpi_session.hpp"
#include "tests/host/proxy_wire_contract.hpp"
#include "tests/mpi_main.hpp"
#include "transport/fifo/mpi_requests.hpp"
#include "transport/fifo/mpi_wire.hpp"

namespace llep {
namespace {

TEST(MpiWire, rows_are_there_when_their_signal_is) {
  MpiCommunicator world = MpiCommunicator::world();
  for (int round = 0; round < 4; ++round) check_proxy_wire(world, make_mpi_wires, round % 2 == 1);
}

/// What the Error says that is thrown once it has been called often enough.
std::string failure(const std::function<void()>& step) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  try {
    while (std::chrono::steady_clock::now() < deadline) step();
  } catch (const Error& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(MpiWire, what_would_land_behind_the_heap_is_refused_where_it_arrives) {
  MpiCommunicator world = MpiCommunicator::world();
  if (world.size() != 2) GTEST_SKIP() << "needs two ranks";
  constexpr std::uint64_t kHeapBytes = 4096;
  HostDevice device(world.rank(), {.num_blocks = 1, .warps_per_block = 1});
  const Memory memory = device.allocate(kHeapBytes);
  const FarHeap heap{.base = memory.get(),
                     .posted = memory.get(),
                     .words = memory.get(),
                     .bytes = kHeapBytes,
                     .device = &device};
  for (const Descriptor& beyond :
       {Descriptor{.kind = DescriptorKind::kSignal, .peer = 1, .to = kHeapBytes, .from = 1},
        Descriptor{.kind = DescriptorKind::kPut, .peer = 1, .bytes = 8, .to = kHeapBytes - 4}}) {
    const ProxyWires made = make_mpi_wires(world, heap, {.num_ranks = 2});
    ProxyWire& wire = *made.wires.front();
    if (world.rank() == 0) {
      const Work work{.what = beyond, .end = 1};
      EXPECT_EQ(wire.post(std::span(&work, 1)), 1U);
    } else {
      const std::string text = failure([&] { wire.progress(); });
      EXPECT_EQ(text, "wire mpi: rank 0 puts 8 bytes at " + std::to_string(beyond.to) +
                          ", behind a heap of 4096");
    }
    world.barrier();
  }
}

TEST(MpiWire, a_message_that_fails_names_its_rank) {
  MpiCommunicator world = MpiCommunicator::world();
  if (world.size() != 2) GTEST_SKIP() << "needs two ranks";
  std::array<std::byte, 64> bytes = {};
  if (world.rank() == 0) {
    EXPECT_EQ(MPI_Send(bytes.data(), 64, MPI_BYTE, 1, 0, world.handle()), MPI_SUCCESS);
  } else {
    MpiRequests requests;
    EXPECT_EQ(MPI_Irecv(bytes.data(), 8, MPI_BYTE, 0, 0, world.handle(),
                        requests.add({MpiToken::Kind::kRowReceived, 0, 0})),
              MPI_SUCCESS);
    const std::string text = failure([&] { requests.test([](const MpiToken&) {}); });
    EXPECT_EQ(text.find("wire mpi: MPI_Testsome with rank 0: MPI_ERR_TRUNCATE"), 0U) << text;
    EXPECT_NE(text.find("is that process alive?"), std::string::npos) << text;
  }
  world.barrier();
}

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  return llep::run_mpi_tests(argc, argv);
}
