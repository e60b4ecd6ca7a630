// SPDX-License-Identifier: MIT
#include "bench/report_table.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <optional>
#include <utility>
#include <vector>

#include "bench/metrics.hpp"
#include "bench/option_values.hpp"
#include "bench/report_lines.hpp"
#include "common/statistics.hpp"

namespace llep {
namespace {

/// Of fixed width, so that rows line up before the later ones are known.
struct Column {
  const char* name;
  const char* unit;
  int width;
  bool left = false;
};
constexpr std::array<Column, 15> kColumns = {{
    {"op", "", 8, true},
    {"T", "", 5},
    {"H", "", 5},
    {"K", "", 2},
    {"E", "", 4},
    {"dtype", "", 5, true},
    {"copies", "", 9, true},
    {"phases", "", 6, true},
    {"min", "us", 9},
    {"avg", "us", 9},
    {"p50", "us", 9},
    {"max", "us", 9},
    {"logical", "GB/s", 8},
    {"unique", "GB/s", 8},
    {"check", "", 9, true},
}};
static_assert(std::accumulate(kColumns.begin(), kColumns.end(), int{kColumns.size()} - 1,
                              [](int sum, const Column& column) { return sum + column.width; }) <=
              kTableWidth);
constexpr std::size_t kTailColumn = 11;  // "max", or "p99" where there are samples enough
constexpr int kSamplesOfP99 = 100;       // summarize() gives none from fewer

using Cells = std::array<std::string, kColumns.size()>;

std::string line(const Cells& cells) {
  std::string text;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const Column& column = kColumns[i];
    text += i == 0 ? "" : " ";
    text += column.left ? fmt::format("{:<{}}", cells[i], column.width)
                        : fmt::format("{:>{}}", cells[i], column.width);
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string rate(const std::optional<Bandwidth>& bandwidth) {
  if (!bandwidth) return "-";
  const double value = bandwidth->per_rank.avg;
  return fmt::format("{:.{}f}", value, value < 1e4 ? 2 : 0);
}

std::string check_text(CaseStatus status, const OpResult* op) {
  if (status == CaseStatus::kSkipped) return "skipped";
  if (status == CaseStatus::kFailed) return "FAILED";
  return op != nullptr && op->passed ? "ok" : "unchecked";
}

bool shows_p99(const RunOptions& options) {
  return options.iters * options.trials >= kSamplesOfP99;
}

std::string row(const CaseResult& result, Op op, const RunOptions& options) {
  const MoeShape& shape = result.which.shape;
  const OpResult* found = find_op(result, op);
  Cells cells = {to_string(op),
                 std::to_string(shape.max_tokens),
                 std::to_string(shape.hidden),
                 std::to_string(shape.num_topk),
                 std::to_string(shape.num_experts),
                 to_string(result.which.dtype),
                 to_string(result.which.copies),
                 to_string(result.which.phases)};
  for (std::size_t i = 8; i < cells.size() - 1; ++i) cells[i] = "-";
  if (found != nullptr && measured(*found)) {
    const Summary times = summarize(max_over_ranks(found->us));
    cells[8] = number(times.min);
    cells[9] = number(times.avg);
    cells[10] = number(times.p50);
    cells[kTailColumn] = number(shows_p99(options) ? times.p99.value_or(times.max) : times.max);
    cells[12] = rate(bandwidth(found->bytes.logical, found->us));
    cells[13] = rate(bandwidth(found->bytes.unique_rank, found->us));
  }
  cells.back() = check_text(op_status(result, op), found);
  return line(cells);
}

/// "4 x NVIDIA H200", or each kind with its number.
std::string hardware(const ContextInfo& context) {
  std::vector<std::pair<std::string, int>> kinds;
  for (const RankInfo& rank : context.ranks) {
    if (kinds.empty() || kinds.back().first != rank.device) kinds.emplace_back(rank.device, 0);
    ++kinds.back().second;
  }
  std::string text;
  for (const auto& [device, count] : kinds) {
    text += fmt::format("{}{} x {}", text.empty() ? "" : " + ", count, device);
  }
  return text;
}

}  // namespace

std::string number(double value) {
  return fmt::format("{:.{}f}", value, value < 1e5 ? 2 : value < 1e6 ? 1 : 0);
}

std::string wrapped(const std::string& text, const std::string& indent) {
  std::string lines;
  std::string current;
  for (const std::string& word : split(text, ' ')) {
    if (!current.empty() && current.size() + 1 + word.size() > kTableWidth) {
      lines += current + "\n";
      current.clear();
    }
    current += (current.empty() ? indent : " ") + word;
    while (current.size() > kTableWidth) {
      lines += current.substr(0, kTableWidth) + "\n";
      current = indent + current.substr(kTableWidth);
    }
  }
  return lines + current + "\n";
}

std::string where_text(const ContextInfo& context) {
  const bool host = context.executor == ExecutorKind::kHost;
  const std::string where = host ? "host executor (timings are not GPU timings)"
                                 : fmt::format("cuda executor, {}{}", hardware(context),
                                               context.shared_gpus ? ", ranks share GPUs" : "");
  return fmt::format("{}, {} rank{} on {} node{}", where, context.world_size(),
                     context.world_size() == 1 ? "" : "s", context.num_nodes,
                     context.num_nodes == 1 ? "" : "s");
}

std::string table_caption(const Case& one, const ContextInfo& context, const RunOptions& options) {
  const std::string chain =
      is_chain(one.mode) ? fmt::format(" of {} ops each", options.chain) : "";
  const std::string trials =
      options.trials == 1 ? "" : fmt::format("{} trials of ", options.trials);
  const std::string text = fmt::format(
      "{}, {}, {}, {} routing, {}{} iterations{} after {} warm-up; times of the slowest rank, GB/s "
      "the mean of the ranks' own",
      where_text(context), one.transport, to_string(one.mode), routing_label(one, options), trials,
      options.iters, chain, options.warmup);
  return wrapped(text, "");
}

std::string table_header(const RunOptions& options) {
  Cells names;
  Cells units;
  for (std::size_t i = 0; i < kColumns.size(); ++i) {
    names[i] = i == kTailColumn && shows_p99(options) ? "p99" : kColumns[i].name;
    units[i] = kColumns[i].unit;
  }
  return line(names) + line(units);
}

std::string table_rows(const CaseResult& result, const RunOptions& options) {
  std::string text;
  for (const Op op : result.which.ops) text += row(result, op, options);
  if (result.status != CaseStatus::kOk && !result.reason.empty()) {
    text += wrapped(fmt::format("{}: {}", to_string(result.status), result.reason), "  ");
  }
  return text;
}

std::string rank_lines(const ContextInfo& context, bool anonymous) {
  std::string text;
  for (std::size_t rank = 0; rank < context.ranks.size(); ++rank) {
    const RankInfo& info = context.ranks[rank];
    text += wrapped(fmt::format("rank {}: {}{}, {}", rank, info.device,
                                anonymous ? "" : " on " + info.host, info.placement),
                    "  ");
  }
  return text;
}

TablePrinter::TablePrinter(const ContextInfo& context, const RunOptions& options,
                           std::size_t num_cases, std::FILE* table, std::FILE* progress)
    : context_(context),
      options_(options),
      num_runs_(num_cases * static_cast<std::size_t>(options.trials)),
      table_(table),
      progress_(progress),
      on_terminal_(::isatty(::fileno(progress)) == 1) {}

/// By the runs that have ended: "1 min 5 s left".
std::string TablePrinter::estimate() const {
  if (begun_ < 2) return "";
  const auto done = static_cast<double>(begun_ - 1);
  const std::chrono::duration<double> gone = std::chrono::steady_clock::now() - start_;
  const auto seconds =
      std::llround(gone.count() / done * static_cast<double>(num_runs_ - begun_ + 1));
  return seconds < 60 ? fmt::format(", about {} s left", seconds)
                      : fmt::format(", about {} min left", (seconds + 30) / 60);
}

void TablePrinter::begin(const Case& next, int trial) {
  ++begun_;
  if (num_runs_ == 1) return;
  const std::string where =
      options_.trials == 1 ? "" : fmt::format("trial {} of {}, ", trial + 1, options_.trials);
  if (on_terminal_) {
    fmt::print(progress_, "\r\033[K[{}/{}] {}{}{}", begun_, num_runs_, where, label(next),
               estimate());
  } else if (trial != last_trial_) {
    // In a log rows tell of the cases, and come with the last trial.
    if (options_.trials > 1) fmt::print(progress_, "llep: {}{}\n", where, label(next));
  }
  last_trial_ = trial;
  std::fflush(progress_);
}

void TablePrinter::add(const CaseResult& result) {
  clear_progress();
  const Case& which = result.which;
  if (!captioned_ || captioned_->transport != which.transport || captioned_->mode != which.mode ||
      captioned_->routing != which.routing) {
    fmt::print(table_, "{}{}{}", captioned_ ? "\n" : "", table_caption(which, context_, options_),
               table_header(options_));
    captioned_ = which;
  }
  fmt::print(table_, "{}", table_rows(result, options_));
  if (options_.verbose) {
    fmt::print(table_, "{}", load_line(result));
    for (const OpResult& op : result.ops) {
      fmt::print(table_, "{}{}", slowest_line(op), clock_line(op));
    }
  }
  for (const OpResult& op : result.ops) fmt::print(table_, "{}", overlap_line(op, options_));
  std::fflush(table_);
}

void TablePrinter::clear_progress() const {
  if (!on_terminal_ || num_runs_ == 1) return;
  fmt::print(progress_, "\r\033[K");
  std::fflush(progress_);
}

}  // namespace llep
