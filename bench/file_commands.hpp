// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "bench/compare_command.hpp"
#include "bench/export_command.hpp"

namespace CLI {
class App;
}

/// The subcommands that only read results files, on the command line.
namespace llep {

bool is_file_command(std::string_view name);

class ExportCommandLine {
 public:
  explicit ExportCommandLine(CLI::App& app);
  bool given() const;
  /// Throws Error(kUsage).
  ExportOptions options() const;

 private:
  CLI::App& app_;
  std::string result_;
  std::string format_;
  std::string output_;
};

class CompareCommandLine {
 public:
  explicit CompareCommandLine(CLI::App& app);
  bool given() const;
  /// Throws Error(kUsage).
  CompareOptions options() const;

 private:
  CLI::App& app_;
  std::vector<std::string> files_;
  std::string threshold_ = "5%";
  std::string threshold_us_ = "1";
  std::string alpha_ = "0.05";
  CompareOptions options_;
};

}  // namespace llep
