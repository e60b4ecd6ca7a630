// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "bench/options.hpp"
#include "bench/result.hpp"

/// Lines below the table's rows of a case. Empty: nothing to say.
namespace llep {

/// Of --verbose: how evenly the routing loads ranks and experts, ...
std::string load_line(const CaseResult& result);
/// ... which ranks were how often the slowest of an op, ...
std::string slowest_line(const OpResult& op);
/// ... and its other clocks.
std::string clock_line(const OpResult& op);

/// Of --overlap-us.
std::string overlap_line(const OpResult& op, const RunOptions& options);

}  // namespace llep
