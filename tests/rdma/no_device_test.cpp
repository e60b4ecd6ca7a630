// SPDX-License-Identifier: MIT
// What a machine without an RDMA device, or a build without libibverbs, says.
#include <algorithm>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"
#include "common/thread_communicator.hpp"
#include "transport/fifo/verbs_wire.hpp"

namespace llep {
namespace {

TEST(NoVerbs, the_probe_and_the_refusal_say_why) {
  const std::optional<std::string> why = why_no_verbs();
  if (!why) GTEST_SKIP() << "this machine has an RDMA device";
  const bool no_library = why->find("verbs: this build has no libibverbs: install ") == 0 &&
                          why->find("-DLLEP_VERBS=on") != std::string::npos;
  const bool no_kernel = why->find("verbs: ibv_get_device_list: ") == 0 &&
                         why->find("modprobe ib_uverbs") != std::string::npos;
  const bool no_device = why->find("verbs: this machine has no RDMA device; ") == 0;
  const bool no_port = why->find("verbs: no port can be used: ") == 0;
  EXPECT_EQ(no_library, LLEP_HAS_VERBS == 0) << *why;
  EXPECT_TRUE(no_library || no_kernel || no_device || no_port) << *why;

  run_ranks(2, [&](Communicator& world) {
    HostDevice device(world.rank(), {.num_blocks = 1, .warps_per_block = 1});
    const Memory memory = device.allocate(4096);
    try {
      make_verbs_wires({}, {})(world, {.base = memory.get(), .bytes = 4096, .device = &device},
                               {.num_ranks = 2});
      ADD_FAILURE() << "nothing was thrown";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUnavailable);
      EXPECT_TRUE(error.agreed());
      EXPECT_EQ(error.what(), no_library ? *why : "rank 0: " + *why);
    }
  });
}

}  // namespace
}  // namespace llep
