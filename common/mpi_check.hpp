// SPDX-License-Identifier: MIT
#pragma once

#include <source_location>
#include <string>

namespace llep {

/// MPI's own words for a status.
std::string mpi_error_text(int status);

/// Throws Error(kInternal) with MPI's own words unless `status` is MPI_SUCCESS.
void check_mpi(int status, const char* doing,
               std::source_location where = std::source_location::current());

}  // namespace llep
