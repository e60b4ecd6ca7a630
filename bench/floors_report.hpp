// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "bench/floor.hpp"
#include "bench/report.hpp"

/// Table and JSON of `llep floors`; results/floors.schema.json describes the latter.
namespace llep {

/// One entry of `floors`.
nlohmann::ordered_json floor_entry(const Floor& floor, const ContextInfo& context);

/// Names of the columns and their units; probes of rings have columns of their own.
std::string floors_header(bool of_rings);
/// A line; a transport that was skipped says why.
std::string floors_row(const Floor& floor);

class FloorsReport final : public Report {
 public:
  /// Collective; context and options must outlive it.
  FloorsReport(Communicator& world, const ContextInfo& context, const RunOptions& options);

  /// Before the probes of a transport. `stand_ins`: software in place of hardware.
  void begin(const TransportSettings& transport, const std::vector<std::string>& stand_ins);
  /// Collective.
  void add(const Floor& floor, const std::vector<ErrorRecord>& errors);

 private:
  ResultDocument* document() override { return file_ ? &*file_ : nullptr; }
  void print(const Floor& floor);

  const ContextInfo& context_;
  const RunOptions& options_;
  std::optional<ResultDocument> file_;
  std::optional<bool> of_rings_;  // of the header last printed
};

}  // namespace llep
