// SPDX-License-Identifier: MIT
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "bench/floor.hpp"
#include "bench/report.hpp"
#include "bench/transport_floors.hpp"

/// Table and JSON of `llep floors`; results/floors.schema.json describes the latter.
namespace llep {

/// One entry of `floors`.
nlohmann::ordered_json floor_entry(const Floor& floor, ExecutorKind executor);

/// Names of the columns and their units; probes of rings have columns of their own.
std::string floors_header(bool of_rings);
/// A line; a transport that was skipped says why.
std::string floors_row(const Floor& floor);

class FloorsReport final : public Report, public FloorsSink {
 public:
  /// Collective; context and options must outlive it.
  FloorsReport(Communicator& world, const ContextInfo& context, const RunOptions& options);

  void begin(const TransportSettings& transport,
             const std::vector<std::string>& stand_ins) override;
  void add(const Floor& floor, const std::vector<ErrorRecord>& errors) override;
  /// Behind the probes of a transport's wire: prints the pairs, where they were asked for.
  void end_wire();

 private:
  ResultDocument* document() override { return file_ ? &*file_ : nullptr; }
  std::vector<Floor>* pairs_like(const Floor& floor);
  void print(const Floor& floor);

  const ContextInfo& context_;
  const RunOptions& options_;
  std::optional<ResultDocument> file_;
  std::optional<bool> of_rings_;  // of the header last printed
  std::vector<Floor> flags_;      // of pairs, of the transport under way
  std::vector<Floor> streams_;
};

}  // namespace llep
