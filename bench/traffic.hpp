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

/// Dispatch: each routed token's row is read once, goes to every other rank that needs it, is read
/// where it arrives, and is written for each expert. Combine: each expert's row is read, each rank
/// sends one row to every other one for every token that it has rows of; those are read where they
/// arrive, and one row is written.
FloorWork floor_work(const GlobalRouting& routing, const Case& one, Op op);

/// Adds what an iteration of that routing moves; of the sums `average_traffic` makes means, rounded.
void add_traffic(const GlobalRouting& routing, const Case& one, const Nodes& nodes,
                 std::vector<OpResult>& ops);
void average_traffic(int num_routings, std::vector<OpResult>& ops);

}  // namespace llep
