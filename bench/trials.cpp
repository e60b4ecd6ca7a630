// SPDX-License-Identifier: MIT
#include "bench/trials.hpp"

#include <algorithm>
#include <span>
#include <utility>

#include "common/statistics.hpp"

namespace llep {

namespace {

void extend(std::vector<double>& all, const std::vector<double>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void extend(RankSamples& all, const RankSamples& more) {
  for (std::size_t rank = 0; rank < all.size(); ++rank) extend(all[rank], more[rank]);
}

void append_op(OpResult& all, const OpResult& trial) {
  extend(all.us, trial.us);
  extend(all.receive_us, trial.receive_us);
  extend(all.device_us, trial.device_us);
  extend(all.wall_us, trial.wall_us);
  extend(all.overlap.receive_us, trial.overlap.receive_us);
  extend(all.overlap.exposed_us, trial.overlap.exposed_us);
  extend(all.entry_skew_us, trial.entry_skew_us);
  all.clock_error_us = std::max(all.clock_error_us, trial.clock_error_us);
  if (trial.passed) all.passed = all.passed.value_or(true) && *trial.passed;
  all.checked_iterations += trial.checked_iterations;
}

}  // namespace

std::size_t case_at(std::size_t place, int trial, std::size_t num_cases) {
  return (place + static_cast<std::size_t>(trial)) % num_cases;
}

void append_trial(CaseResult& all, CaseResult trial) {
  if (all.ops.empty()) {
    all = std::move(trial);
    return;
  }
  all.status = trial.status;
  all.reason = std::move(trial.reason);
  for (std::size_t i = 0; i < trial.ops.size(); ++i) {
    if (i < all.ops.size()) append_op(all.ops[i], trial.ops[i]);
  }
  all.errors = std::move(trial.errors);
}

std::vector<double> trial_medians(const OpResult& op, int iters) {
  const std::vector<double> samples = max_over_ranks(op.us);
  const auto trial_size = static_cast<std::size_t>(iters);
  std::vector<double> medians;
  for (std::size_t at = 0; at + trial_size <= samples.size(); at += trial_size) {
    medians.push_back(summarize(std::span(samples).subspan(at, trial_size)).p50);
  }
  return medians;
}

}  // namespace llep
