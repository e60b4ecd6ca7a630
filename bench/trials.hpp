// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <vector>

#include "bench/result.hpp"

/// A run measures its cases --trials times: each trial sets every case up anew, and begins with
/// another case than the one before.
namespace llep {

/// The case that is measured at this place of a trial.
std::size_t case_at(std::size_t place, int trial, std::size_t num_cases);

/// Adds what a trial of a case measured to the trials before; the cold time is the first one's.
void append_trial(CaseResult& all, CaseResult trial);

/// The medians of the cross-rank maxima, trial by trial; a trial that ended early has none.
std::vector<double> trial_medians(const OpResult& op, int iters);

}  // namespace llep
