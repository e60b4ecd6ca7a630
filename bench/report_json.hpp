// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "bench/case_floor.hpp"
#include "bench/context.hpp"
#include "bench/gate_check.hpp"
#include "bench/options.hpp"
#include "bench/result.hpp"
#include "bench/transports.hpp"

/// The results file's blocks; results/schema.json says the same for machines, results/README.md
/// for people. Unknown is null, never 0.
namespace llep {

inline constexpr int kSchemaVersion = 1;

/// One entry of `benchmarks` for each op the case asks for, measured or not; with floors, if any.
nlohmann::ordered_json benchmark_entries(const CaseResult& result, const ContextInfo& context,
                                         const RunOptions& options,
                                         const Floors* floors = nullptr);

/// One entry of `context.transports`.
nlohmann::ordered_json to_json(const TransportSummary& transport);

/// One entry of `gates`.
nlohmann::ordered_json to_json(const GateResult& gate);

/// One entry of `errors`.
nlohmann::ordered_json to_json(const ErrorRecord& error);

}  // namespace llep
