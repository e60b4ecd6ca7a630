// SPDX-License-Identifier: MIT
// Part of verbs_wire_test.
#include <gtest/gtest.h>

#include "common/mpi_session.hpp"
#include "tests/host/proxy_wire_contract.hpp"
#include "tests/rdma/guest.hpp"
#include "transport/fifo/verbs_wire.hpp"

namespace llep {
namespace {

struct Setting {
  const char* name;
  VerbsOptions options;
};

class VerbsContract : public testing::TestWithParam<Setting> {};

TEST_P(VerbsContract, rows_are_there_when_their_signal_is) {
  MpiCommunicator world = MpiCommunicator::world();
  check_proxy_wire(world, make_verbs_wires(GetParam().options, {}));
}

// A send queue of 6 is full all the time; its groups are single work requests.
INSTANTIATE_TEST_SUITE_P(
    Signals, VerbsContract,
    testing::Values(
        Setting{"write", {.ack_timeout = kGuestAckTimeout}},
        Setting{"write_short_queue", {.send_depth = 6, .ack_timeout = kGuestAckTimeout}},
        Setting{"atomic", {.signal_atomic = true, .ack_timeout = kGuestAckTimeout}},
        Setting{"relaxed_short_queue",
                {.relaxed_ordering = true, .send_depth = 6, .ack_timeout = kGuestAckTimeout}}),
    [](const auto& setting) { return std::string(setting.param.name); });

}  // namespace
}  // namespace llep
