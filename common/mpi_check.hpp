// SPDX-License-Identifier: MIT
#pragma once

#include <source_location>

namespace llep {

/// Throws Error(kInternal) with MPI's own words unless `status` is MPI_SUCCESS.
void check_mpi(int status, const char* doing,
               std::source_location where = std::source_location::current());

}  // namespace llep
