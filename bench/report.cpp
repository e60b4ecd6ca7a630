// SPDX-License-Identifier: MIT
#include "bench/report.hpp"

#include <fmt/format.h>

#include <cstdio>

#include "bench/report_table.hpp"

namespace llep {

void Report::set(const TransportSummary& transport) {
  collectively(world_, [&] {
    if (ResultDocument* file = document()) file->set(transport);
  });
}

void Report::set(const RanksHealth& ranks) {
  collectively(world_, [&] {
    if (document() == nullptr) return;
    warnings_ = warnings_of(ranks);
    document()->set(ranks);
  });
}

void Report::end(bool complete) {
  collectively(world_, [&] {
    if (document() == nullptr) return;
    if (complete) document()->finish();
    print_end(complete);
  });
}

void Report::fail(const ErrorRecord& error) noexcept try {
  if (document() == nullptr) return;
  document()->add(error);
  print_end(false);
} catch (const std::exception&) {
}

void Report::print_end(bool complete) {
  for (const std::string& warning : warnings_) fmt::print("{}", wrapped("warning: " + warning, ""));
  fmt::print("results{}: {}\n", complete ? "" : " (incomplete)", document()->path().string());
  std::fflush(stdout);
}

std::filesystem::path result_path(const RunOptions& options) {
  return options.json_path.empty() ? default_result_path()
                                   : std::filesystem::path(options.json_path);
}

void print_errors(const Communicator& world, const std::vector<ErrorRecord>& errors) {
  if (world.rank() != 0) return;
  for (const ErrorRecord& error : errors) fmt::print(stderr, "llep: {}\n", error.message);
}

}  // namespace llep
