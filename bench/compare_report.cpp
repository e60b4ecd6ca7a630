// SPDX-License-Identifier: MIT
#include "bench/compare_report.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

std::string files_line(const char* side, const ResultFiles& files) {
  std::string text;
  for (const ResultFile& file : files) {
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", file.path, file.revision());
  }
  return fmt::format("{}: {}\n", side, text);
}

const char* unit_line(Unit unit) {
  return unit == Unit::kTrial
             ? "unit: the trials of one run a side; they share its luck, several runs a side do not"
             : "unit: the median of each run";
}

std::string interval_text(const std::optional<Interval>& interval) {
  return interval ? fmt::format("{:.3f} to {:.3f}", interval->low, interval->high) : "-";
}

std::string too_few(const Comparison& comparison) {
  const std::size_t compared = comparison.num_compared();
  const std::size_t needed = units_needed(compared, comparison.rules.alpha);
  return fmt::format(
      "inconclusive: with {} comparisons at alpha {} at least {} {}s a side are needed\n", compared,
      comparison.rules.alpha, needed, to_string(comparison.matching.unit));
}

std::string one_sided(const char* side, const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += fmt::format("only in {}: {}\n", side, name);
  return text;
}

std::string summary_line(const Comparison& comparison) {
  std::string text;
  for (const Verdict verdict : {Verdict::kRegression, Verdict::kImprovement, Verdict::kNoChange,
                                Verdict::kInconclusive, Verdict::kUnmeasured}) {
    text += fmt::format("{}: {}, ", to_string(verdict), comparison.count(verdict));
  }
  return fmt::format("{}only in base: {}, only in new: {}\n", text,
                     comparison.matching.only_base.size(), comparison.matching.only_next.size());
}

Json files_json(const ResultFiles& files) {
  Json list = Json::array();
  for (const ResultFile& file : files) {
    list.push_back({{"path", file.path},
                    {"git_revision", value_at(file.context, "/git_revision")},
                    {"start_time", value_at(file.context, "/start_time")},
                    {"complete", file.complete}});
  }
  return list;
}

Json judgement_json(const Judgement& judgement, const MatchedBenchmark& matched) {
  const bool known = judgement.difference.has_value();
  const Difference found = judgement.difference.value_or(Difference{});
  const auto value = [&](double number) { return known ? Json(number) : Json(nullptr); };
  const Json interval = found.interval
                            ? Json{{"low", found.interval->low}, {"high", found.interval->high}}
                            : Json(nullptr);
  return {{"name", judgement.name},
          {"verdict", to_string(judgement.verdict)},
          {"reason", judgement.reason.empty() ? Json(nullptr) : Json(judgement.reason)},
          {"base_us", value(found.base_us)},
          {"new_us", value(found.next_us)},
          {"ratio", value(found.ratio)},
          {"ratio_interval", interval},
          {"p", value(found.p)},
          {"corrected_p", value(found.corrected_p)},
          {"base_units_us", matched.base.us},
          {"new_units_us", matched.next.us}};
}

}  // namespace

std::size_t Comparison::count(Verdict verdict) const {
  return static_cast<std::size_t>(
      std::count_if(judgements.begin(), judgements.end(),
                    [&](const Judgement& one) { return one.verdict == verdict; }));
}

std::size_t Comparison::num_compared() const {
  return static_cast<std::size_t>(
      std::count_if(judgements.begin(), judgements.end(),
                    [](const Judgement& one) { return one.difference.has_value(); }));
}

std::string compare_caption(const Comparison& comparison) {
  std::string text = files_line("base", comparison.base) + files_line("new", comparison.next);
  text +=
      fmt::format("{}\n{}\n", comparison.base.front().where(), unit_line(comparison.matching.unit));
  if (comparison.matching.lacks_trials) {
    text += "some entries have no trials: their single unit is the median over iterations\n";
  }
  return text;
}

TextTable compare_table(const Comparison& comparison) {
  TextTable table;
  table.columns = {{"benchmark", true},     {"base us"},  {"new us"},       {"new/base"},
                   {"95 % interval", true}, {"p (Holm)"}, {"verdict", true}};
  for (const Judgement& judgement : comparison.judgements) {
    const auto& found = judgement.difference;
    const auto cell = [&](double Difference::*value, int digits) {
      return found ? fmt::format("{:.{}f}", (*found).*value, digits) : std::string("-");
    };
    table.rows.push_back({judgement.name, cell(&Difference::base_us, 2),
                          cell(&Difference::next_us, 2), cell(&Difference::ratio, 3),
                          found ? interval_text(found->interval) : "-",
                          cell(&Difference::corrected_p, 4), to_string(judgement.verdict)});
  }
  return table;
}

std::string compare_notes(const Comparison& comparison) {
  std::string text;
  for (const Judgement& one : comparison.judgements) {
    if (!one.reason.empty()) text += fmt::format("{}: {}\n", one.name, one.reason);
  }
  text += one_sided("base", comparison.matching.only_base);
  text += one_sided("new", comparison.matching.only_next);
  if (comparison.count(Verdict::kInconclusive) > 0) text += too_few(comparison);
  return text + summary_line(comparison);
}

std::string compare_markdown(const Comparison& comparison) {
  std::string text = markdown_text(compare_table(comparison)) + "\n```\n";
  text += compare_caption(comparison);
  for (const std::string& warning : comparison.warnings) text += "warning: " + warning + "\n";
  return text + compare_notes(comparison) + "```\n";
}

Json compare_json(const Comparison& comparison) {
  const CompareRules& rules = comparison.rules;
  Json entries = Json::array();
  for (std::size_t i = 0; i < comparison.judgements.size(); ++i) {
    entries.push_back(judgement_json(comparison.judgements[i], comparison.matching.both[i]));
  }
  return {{"schema_version", 1},
          {"kind", "comparison"},
          {"base", files_json(comparison.base)},
          {"new", files_json(comparison.next)},
          {"unit", to_string(comparison.matching.unit)},
          {"rules",
           {{"threshold", rules.threshold},
            {"threshold_us", rules.threshold_us},
            {"alpha", rules.alpha},
            {"resamples", rules.resamples}}},
          {"warnings", comparison.warnings},
          {"comparisons", entries},
          {"only_base", comparison.matching.only_base},
          {"only_new", comparison.matching.only_next}};
}

}  // namespace llep
