// SPDX-License-Identifier: MIT
#include "bench/export_command.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <map>

#include "bench/export_formats.hpp"
#include "bench/option_values.hpp"
#include "bench/result_writer.hpp"

namespace llep {
namespace {

/// Takes out what has no times to quote, and says so.
void leave_out_unquotable(ResultFile& result) {
  std::map<std::string, int> reasons;
  std::erase_if(result.entries, [&](const ResultEntry& entry) {
    if (entry.quotable()) return false;
    const std::string& why = entry.reason.empty() ? "no times" : entry.reason;
    ++reasons[entry.status == "ok" ? why : entry.status + ": " + why];
    return true;
  });
  for (const auto& [why, count] : reasons) {
    fmt::print(stderr, "llep: left out {} {}: {}\n", count, count == 1 ? "entry" : "entries", why);
  }
}

void write(const std::string& text, const std::string& output) {
  if (output == "-") {
    fmt::print("{}", text);
  } else {
    write_atomically(output, text);
  }
}

/// out.json: out.bandwidth.json
std::filesystem::path bandwidth_path(const std::filesystem::path& path) {
  return path.parent_path() / (path.stem().string() + ".bandwidth" + path.extension().string());
}

}  // namespace

const char* to_string(ExportFormat format) {
  switch (format) {
    case ExportFormat::kGoogleBenchmark: return "gbench";
    case ExportFormat::kGithubAction: return "github-action";
    case ExportFormat::kBencher: return "bmf";
    case ExportFormat::kCsv: return "csv";
    case ExportFormat::kMarkdown: break;
  }
  return "markdown";
}

ExitCode export_command(const ExportOptions& options) {
  if (options.format == ExportFormat::kGithubAction && options.output == "-") {
    usage_error(
        "-o -: github-action is two files, latencies and bandwidths; name one with -o FILE");
  }
  ResultFile result = read_result(options.result);
  if (!result.complete) {
    fmt::print(stderr, "llep: {} is incomplete: the run is under way or ended early\n",
               options.result);
  }
  for (const std::string& warning : result.warnings()) {
    fmt::print(stderr, "llep: warning: {}: {}\n", options.result, warning);
  }
  if (options.format != ExportFormat::kCsv) leave_out_unquotable(result);
  switch (options.format) {
    case ExportFormat::kGoogleBenchmark:
      write(google_benchmark_text(result), options.output);
      break;
    case ExportFormat::kGithubAction:
      write(action_latency_text(result), options.output);
      write(action_bandwidth_text(result), bandwidth_path(options.output).string());
      break;
    case ExportFormat::kBencher: write(bencher_text(result), options.output); break;
    case ExportFormat::kCsv: write(csv_text(result), options.output); break;
    case ExportFormat::kMarkdown: write(markdown_text(result), options.output); break;
  }
  return ExitCode::kOk;
}

}  // namespace llep
