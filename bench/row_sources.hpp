// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "common/formats.hpp"

/// What the rows of a run hold, on the host.
namespace llep {

/// Fills the row [hidden] that a rank dispatches for its token.
using DispatchedRow = std::function<void(int rank, int token, std::span<Bf16> row)>;
/// Fills the row [hidden] that the expert of selection k sends back for its owner's token.
using ExpertRow = std::function<void(int owner, int token, int k, std::span<Bf16> row)>;

/// kernels/payload.hpp's hashed rows of one epoch.
DispatchedRow hashed_rows(std::uint64_t seed, std::uint64_t epoch);
ExpertRow hashed_expert_rows(std::uint64_t seed, std::uint64_t epoch);

/// The reference test's rows.
DispatchedRow reference_rows();

/// Experts that send back what was dispatched, as BF16.
ExpertRow identity_expert(DispatchedRow dispatched);

}  // namespace llep
