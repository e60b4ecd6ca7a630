// SPDX-License-Identifier: MIT
// Runs under mpirun.
#include <gtest/gtest.h>

#include "common/mpi_session.hpp"
#include "tests/host/proxy_wire_contract.hpp"
#include "tests/mpi_main.hpp"
#include "transport/fifo/mpi_wire.hpp"

namespace llep {
namespace {

TEST(MpiWire, rows_are_there_when_their_signal_is) {
  MpiCommunicator world = MpiCommunicator::world();
  for (int round = 0; round < 4; ++round) check_proxy_wire(world, make_mpi_wires, round % 2 == 1);
}

}  // namespace
}  // namespace llep

int main(int argc, char** argv) {
  return llep::run_mpi_tests(argc, argv);
}
