// SPDX-License-Identifier: MIT
#include "bench/file_commands.hpp"

#include <CLI/CLI.hpp>
#include <array>

#include "bench/option_values.hpp"

namespace llep {
namespace {

constexpr std::array kFormats = {ExportFormat::kGoogleBenchmark, ExportFormat::kGithubAction,
                                 ExportFormat::kBencher, ExportFormat::kCsv,
                                 ExportFormat::kMarkdown};
constexpr const char* kExportFooter =
    "Example: llep export results/local/new.json --format gbench -o new.gbench.json\n"
    "github-action writes latencies to FILE and bandwidths beside it: x.json, x.bandwidth.json.\n"
    "Exit codes: 0 ok, 2 usage.";
constexpr const char* kCompareFooter =
    "Example: llep compare base.json new.json\n"
    "         llep compare base1.json base2.json --new new1.json new2.json --threshold 3%\n"
    "Exit codes: 0 no regression, 2 usage or not comparable, 6 --strict: not all could be judged,\n"
    "7 regression.";

/// `read` with the option's name in front of what it complains of.
template <class Read>
auto read_option(const char* name, const std::string& text, Read read) {
  try {
    return read(text);
  } catch (const Error& error) {
    usage_error(fmt::format("{}: {}", name, error.what()));
  }
}

}  // namespace

bool is_file_command(std::string_view name) { return name == "export" || name == "compare"; }

ExportCommandLine::ExportCommandLine(CLI::App& app)
    : app_(*app.add_subcommand("export", "Writes results in the formats of other programs")) {
  app_.add_option("RESULT", result_, "what llep run wrote")->required();
  app_.add_option("--format", format_, "gbench, github-action, bmf, csv or markdown")
      ->required()
      ->type_name("FORMAT");
  app_.add_option("-o,--output", output_, "- is standard output")->required()->type_name("FILE");
  app_.footer(kExportFooter);
}

bool ExportCommandLine::given() const { return app_.parsed(); }

ExportOptions ExportCommandLine::options() const {
  const auto read = [](const std::string& text) {
    return parse_choice<ExportFormat>(text, kFormats);
  };
  return {.result = result_, .format = read_option("--format", format_, read), .output = output_};
}

CompareCommandLine::CompareCommandLine(CLI::App& app)
    : app_(*app.add_subcommand("compare", "Tells whether new results are slower than a base")) {
  app_.add_option("RESULT", files_, "base and new results, or the base's with --new")
      ->required()
      ->expected(1, -1);
  app_.add_option("--new", options_.next, "new results, where a side has several")
      ->expected(1, -1)
      ->type_name("RESULT");
  app_.add_option("--threshold", threshold_, "smaller relative changes are none")
      ->type_name("SHARE")
      ->capture_default_str();
  app_.add_option("--threshold-us", threshold_us_, "smaller changes in us are none")
      ->type_name("US")
      ->capture_default_str();
  app_.add_option("--alpha", alpha_, "chance of any false alarm in the whole comparison")
      ->type_name("SHARE")
      ->capture_default_str();
  app_.add_flag("--strict", options_.strict, "exit code 6 if not all could be judged");
  app_.add_flag("--force", options_.force, "compare across hardware and executors");
  app_.add_option("--json", options_.json, "the comparison for programs")->type_name("FILE");
  app_.add_option("--markdown", options_.markdown, "the table for comments")->type_name("FILE");
  app_.footer(kCompareFooter);
}

bool CompareCommandLine::given() const { return app_.parsed(); }

CompareOptions CompareCommandLine::options() const {
  CompareOptions options = options_;
  options.base = files_;
  if (options.next.empty()) {
    if (files_.size() != 2) {
      usage_error(
          fmt::format("compare: {} results; give a base and a new one, or name the new "
                      "ones with --new",
                      files_.size()));
    }
    options.next = {files_[1]};
    options.base.pop_back();
  }
  options.rules.threshold = read_option("--threshold", threshold_, parse_share);
  options.rules.threshold_us = read_option(
      "--threshold-us", threshold_us_,
      [](const std::string& text) { return parse_between(text, 0.0, 1e9); });
  options.rules.alpha = read_option("--alpha", alpha_, parse_share);
  if (options.rules.alpha == 0) usage_error("--alpha: 0 calls nothing a regression");
  return options;
}

}  // namespace llep
