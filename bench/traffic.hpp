// SPDX-License-Identifier: MIT
#pragma once

#include "bench/result.hpp"
#include "bench/sweep.hpp"
#include "bench/transports.hpp"
#include "kernels/reference.hpp"

/// What a case moves, derived from the routing of all ranks.
namespace llep {

/// Bytes of all ranks.
ByteClasses bytes_of(const GlobalRouting& routing, const Case& one, Op op, const Nodes& nodes);

Load load_of(const GlobalRouting& routing);

/// Dispatch: each token's row is read once, goes to every other rank that needs it, is read where
/// it arrives and written for each expert there. Combine: each expert's row is read, each rank sends
/// one row for every token that it has rows of; those are read, and one row is written.
FloorWork floor_work(const GlobalRouting& routing, const Case& one, Op op);

}  // namespace llep
