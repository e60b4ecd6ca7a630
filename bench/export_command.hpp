// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "common/error.hpp"

namespace llep {

enum class ExportFormat { kGoogleBenchmark, kGithubAction, kBencher, kCsv, kMarkdown };
const char* to_string(ExportFormat format);

struct ExportOptions {
  std::string result;
  ExportFormat format = ExportFormat::kMarkdown;
  std::string output;  // "-": standard output
};

/// Writes a results file in another program's format. What could not be quoted is said on stderr.
/// Throws Error(kUsage).
ExitCode export_command(const ExportOptions& options);

}  // namespace llep
