// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <algorithm>

#include "common/mpi_session.hpp"

namespace llep {

/// main of tests under mpirun. A test that fails on one rank fails the run of all. Tests hold
/// collectives: no fatal assertion may stand before one.
inline int run_mpi_tests(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  const MpiSession session;
  MpiCommunicator world = MpiCommunicator::world();
  const auto failed = gather_all(world, RUN_ALL_TESTS());
  return *std::max_element(failed.begin(), failed.end());
}

}  // namespace llep
