// SPDX-License-Identifier: MIT
#pragma once

#include "bench/options.hpp"
#include "common/mpi_session.hpp"

namespace llep {

/// `llep floors`. Collective; returns the same code on every rank or throws the same Error there.
ExitCode floors_command(MpiCommunicator& world, const RunOptions& options);

}  // namespace llep
