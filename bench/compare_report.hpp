// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/compare_verdict.hpp"
#include "bench/text_table.hpp"

namespace llep {

/// All that is reported of one comparison.
struct Comparison {
  ResultFiles base;
  ResultFiles next;
  CompareRules rules;
  Matching matching;
  std::vector<Judgement> judgements;
  std::vector<std::string> warnings;

  std::size_t count(Verdict verdict) const;
  std::size_t num_compared() const;  // Holm's family
};

/// Files, revisions and the unit; ends in a newline.
std::string compare_caption(const Comparison& comparison);
TextTable compare_table(const Comparison& comparison);
/// Benchmarks without times or on one side alone, what more data would be needed, and the summary.
std::string compare_notes(const Comparison& comparison);

std::string compare_markdown(const Comparison& comparison);
nlohmann::ordered_json compare_json(const Comparison& comparison);

}  // namespace llep
