// SPDX-License-Identifier: MIT
#pragma once

#include <chrono>
#include <cstdio>
#include <optional>
#include <string>

#include "bench/context.hpp"
#include "bench/options.hpp"
#include "bench/result.hpp"

namespace llep {

inline constexpr int kTableWidth = 120;  // columns, no line is longer

/// Executor, hardware and ranks: "cuda executor, 4 x NVIDIA H200, 4 ranks on 1 node".
std::string where_text(const ContextInfo& context);
/// Nine columns whatever the size: 12.34, 123456.8, 12345679.
std::string number(double value);
/// Words on lines no longer than the table; a word that is longer is cut.
std::string wrapped(const std::string& text, const std::string& indent);

/// What the rows below have in common: executor, hardware, ranks, transport, mode, routing. Ends in
/// a newline.
std::string table_caption(const Case& one, const ContextInfo& context,
                          const RunOptions& options);

/// Names of the columns, and a second line with their units.
std::string table_header(const RunOptions& options);

/// A line for each op of the case; a case that was skipped or failed says why below.
std::string table_rows(const CaseResult& result, const RunOptions& options);

/// What --verbose adds. Before the table, a line for each rank: device, cpus and why those.
std::string rank_lines(const ContextInfo& context, bool anonymous);

/// Prints rows as cases finish, and which one is under way. For rank 0;
/// context and options must outlive it.
class TablePrinter {
 public:
  TablePrinter(const ContextInfo& context, const RunOptions& options, std::size_t num_cases,
               std::FILE* table = stdout, std::FILE* progress = stderr);

  /// Before a trial of a case: on a terminal which one, and how long the rest will take; in a log a
  /// line for each of several trials.
  void begin(const Case& next, int trial);
  /// After it: its rows, under a new caption where transport, mode or routing changed.
  void add(const CaseResult& result);

 private:
  void clear_progress() const;
  std::string estimate() const;

  const ContextInfo& context_;
  const RunOptions& options_;
  std::size_t num_runs_;  // of a case, in all trials
  std::size_t begun_ = 0;
  int last_trial_ = -1;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  std::optional<Case> captioned_;  // whose caption was printed last
  std::FILE* table_;
  std::FILE* progress_;
  bool on_terminal_;
};

}  // namespace llep
