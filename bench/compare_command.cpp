// SPDX-License-Identifier: MIT
#include "bench/compare_command.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/compare_report.hpp"
#include "bench/option_values.hpp"
#include "bench/result_writer.hpp"

namespace llep {
namespace {

ResultFiles read_results(const std::vector<std::string>& paths) {
  ResultFiles files;
  for (const std::string& path : paths) files.push_back(read_result(path));
  return files;
}

std::vector<std::string> incomplete(const ResultFiles& files) {
  std::vector<std::string> lines;
  for (const ResultFile& file : files) {
    if (!file.complete) lines.push_back(file.path + " is incomplete: its run ended early");
  }
  return lines;
}

/// A run counts once. Against itself alone it may be compared: the trials of it say how it goes.
std::vector<std::string> given_twice(const ResultFiles& base, const ResultFiles& next) {
  std::vector<const ResultFile*> files;
  for (const ResultFile& file : base) files.push_back(&file);
  for (const ResultFile& file : next) files.push_back(&file);
  std::vector<std::string> lines;
  for (auto one = files.begin(); one != files.end(); ++one) {
    const auto earlier = std::find_if(
        files.begin(), one, [&](const ResultFile* file) { return same_run(*file, **one); });
    if (earlier == one) continue;
    lines.push_back(fmt::format("{} and {} are the same run", (*earlier)->path, (*one)->path));
  }
  if (!lines.empty() && files.size() > 2) usage_error(lines.front() + "; give each run once");
  return lines;
}

/// What was said of each run.
std::vector<std::string> warnings_of(const ResultFiles& files) {
  std::vector<std::string> lines;
  for (const ResultFile& file : files) {
    for (const std::string& warning : file.warnings()) {
      lines.push_back(fmt::format("{}: {}", file.path, warning));
    }
  }
  return lines;
}

void append(std::vector<std::string>& lines, const std::vector<std::string>& more) {
  lines.insert(lines.end(), more.begin(), more.end());
}

Comparison compare(const CompareOptions& options) {
  Comparison comparison;
  comparison.base = read_results(options.base);
  comparison.next = read_results(options.next);
  const auto repeated = given_twice(comparison.base, comparison.next);
  const auto obstacles = incomparable(comparison.base, comparison.next);
  if (!obstacles.empty() && !options.force) {
    usage_error(obstacles.front() + "; --force compares them all the same");
  }
  append(comparison.warnings, obstacles);
  append(comparison.warnings, different(comparison.base, comparison.next));
  append(comparison.warnings, repeated);
  for (const ResultFiles* side : {&comparison.base, &comparison.next}) {
    append(comparison.warnings, incomplete(*side));
    append(comparison.warnings, warnings_of(*side));
  }
  comparison.rules = options.rules;
  comparison.matching = match(comparison.base, comparison.next);
  if (comparison.matching.both.empty()) {
    usage_error("no benchmark of this name is on both sides: nothing to compare");
  }
  comparison.judgements = judge(comparison.matching.both, options.rules);
  return comparison;
}

bool judged_all(const Comparison& comparison) {
  return comparison.count(Verdict::kInconclusive) == 0 &&
         comparison.count(Verdict::kUnmeasured) == 0 && comparison.matching.only_base.empty();
}

}  // namespace

ExitCode compare_command(const CompareOptions& options) {
  const Comparison comparison = compare(options);
  for (const std::string& warning : comparison.warnings) {
    fmt::print(stderr, "llep: warning: {}\n", warning);
  }
  fmt::print("{}{}{}", compare_caption(comparison), plain_text(compare_table(comparison)),
             compare_notes(comparison));
  if (!options.json.empty()) {
    write_atomically(options.json, document_text(compare_json(comparison)));
  }
  if (!options.markdown.empty()) write_atomically(options.markdown, compare_markdown(comparison));
  if (comparison.count(Verdict::kRegression) > 0) return ExitCode::kRegression;
  return options.strict && !judged_all(comparison) ? ExitCode::kGateMissed : ExitCode::kOk;
}

}  // namespace llep
