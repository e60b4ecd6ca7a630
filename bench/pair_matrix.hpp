// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "bench/floor.hpp"

namespace llep {

/// The best samples of one probe's pairs for people: rows from, columns to, "-" what was not
/// measured; of more ranks than lines can hold the spread and the slowest pairs. `pairs`: flags,
/// which hold for both directions, or streams of one size.
std::string pair_matrix(const std::vector<Floor>& pairs);

}  // namespace llep
