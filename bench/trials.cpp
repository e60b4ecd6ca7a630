// SPDX-License-Identifier: MIT
#include "bench/trials.hpp"

#include <iterator>
#include <span>
#include <utility>

#include "common/statistics.hpp"

namespace llep {

namespace {

void extend(std::vector<double>& all, const std::vector<double>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

void append_op(OpResult& all, OpResult trial) {
  for (std::size_t rank = 0; rank < all.us.size(); ++rank) {
    extend(all.us[rank], trial.us[rank]);
    if (!all.receive_us.empty()) extend(all.receive_us[rank], trial.receive_us[rank]);
  }
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
    if (i < all.ops.size()) append_op(all.ops[i], std::move(trial.ops[i]));
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
