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

}  // namespace llep
