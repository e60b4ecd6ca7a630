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

/// [num_experts] rows that each expert is sent.
std::vector<std::uint64_t> rows_of_experts(const GlobalRouting& routing);

}  // namespace llep
