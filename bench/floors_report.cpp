// SPDX-License-Identifier: MIT
#include "bench/floors_report.hpp"

#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/or_null.hpp"
#include "bench/pair_matrix.hpp"
#include "bench/report_table.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

Json best(const std::optional<Best>& value) { return value ? Json(value->best) : Json(nullptr); }
Json median(const std::optional<Best>& value) { return value ? Json(value->p50) : Json(nullptr); }

Json ring_json(const std::optional<RingUse>& ring) {
  if (!ring) return nullptr;
  return {{"depth", ring->depth},
          {"proxies", ring->num_proxies},
          {"warps", ring->num_warps},
          {"batch", ring->batch}};
}

std::string ranks_text(const Floor& floor) {
  if (floor.num_warps) return fmt::format("all w{}", *floor.num_warps);
  if (!floor.to) return "all";
  return fmt::format("{} {} {}", *floor.from, floor.trips == 2 ? "<->" : "->", *floor.to);
}

/// In nine columns, whatever the size.
std::string number(const std::optional<double>& value) {
  if (!value) return "-";
  const double v = *value;
  return fmt::format("{:.{}f}", v, v < 0.01 ? 6 : v < 1.0 ? 4 : v < 1e4 ? 2 : 0);
}

std::string numbers(const std::optional<Best>& value, double unit) {
  const auto in = [&](double Best::*of) {
    return value ? std::optional(*value.*of / unit) : std::nullopt;
  };
  return fmt::format(" {:>9} {:>9}", number(in(&Best::best)), number(in(&Best::p50)));
}

constexpr double kMega = 1e6;

}  // namespace

Json floor_entry(const Floor& floor, ExecutorKind executor) {
  const bool ok = floor.skipped.empty();
  const auto us = trip_us(floor);
  const auto rate = per_second(floor);
  const auto bandwidth = gbps(floor);
  return {{"name", floor_name(floor)},
          {"transport", floor.transport},
          {"signal", to_string(floor.signal)},
          {"executor", to_string(executor)},
          {"status", !ok                     ? "skipped"
                     : floor.passed == false ? "failed"
                                             : "ok"},
          {"reason", ok ? Json(nullptr) : Json(floor.skipped)},
          {"probe", ok ? Json(to_string(floor.probe)) : Json(nullptr)},
          {"from", or_null(floor.from)},
          {"to", or_null(floor.to)},
          {"bytes", or_null(floor.bytes)},
          {"ring", ring_json(floor.ring)},
          {"warps", or_null(floor.num_warps)},
          {"samples", floor.round_us.size()},
          {"rounds", floor.num_rounds},
          {"us_min", best(us)},
          {"us_p50", median(us)},
          {"gbps_max", best(bandwidth)},
          {"gbps_p50", median(bandwidth)},
          {"per_second_max", best(rate)},
          {"per_second_p50", median(rate)},
          {"verified", or_null(floor.passed)}};
}

std::string floors_header(bool of_rings) {
  if (of_rings) {
    return fmt::format("{:<16} {:>6} {:>7} {:>6} {:>6} {:>9} {:>9} {:>9} {:>9}\n", "probe", "depth",
                       "rings", "warps", "batch", "us min", "us p50", "M/s max", "M/s p50");
  }
  return fmt::format("{:<16} {:<9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9} {}\n", "probe",
                     "ranks", "bytes", "us min", "us p50", "GB/s max", "GB/s p50", "M/s max",
                     "M/s p50", "check");
}

std::string floors_row(const Floor& floor) {
  if (!floor.skipped.empty()) return wrapped("skipped: " + floor.skipped, "");
  const std::string times = numbers(trip_us(floor), 1.0);
  const std::string rates = numbers(per_second(floor), kMega);
  if (const auto& ring = floor.ring) {
    return fmt::format("{:<16} {:>6} {:>7} {:>6} {:>6}{}{}\n", to_string(floor.probe), ring->depth,
                       ring->num_proxies, ring->num_warps, ring->batch, times, rates);
  }
  const char* check = !floor.passed ? "-" : *floor.passed ? "ok" : "FAILED";
  return fmt::format("{:<16} {:<9} {:>9}{}{}{} {}\n", to_string(floor.probe), ranks_text(floor),
                     floor.bytes ? std::to_string(*floor.bytes) : "-", times,
                     numbers(gbps(floor), 1.0), rates, check);
}

FloorsReport::FloorsReport(Communicator& world, const ContextInfo& context,
                           const RunOptions& options)
    : Report(world), context_(context), options_(options) {
  collectively(world, [&] {
    if (world.rank() == 0) file_.emplace(result_path(options), context, options);
  });
}

void FloorsReport::begin(const TransportSettings& transport,
                         const std::vector<std::string>& stand_ins) {
  if (!file_) return;
  std::string text = fmt::format(
      "{}, {}{}, {} samples; us one way, fifo: there and back, ibgda: until the doorbell; "
      "GB/s and M/s (messages, descriptors or entries) out of one rank; w: warps that share a "
      "message",
      where_text(context_), transport.name,
      transport.signal == SignalMode::kAtomic ? ", atomic signals" : "", options_.iters);
  for (const std::string& one : stand_ins) {
    text += fmt::format("; {} stands in for hardware, its numbers are not the hardware's", one);
  }
  fmt::print("\n{}", wrapped(text, ""));
  std::fflush(stdout);
  of_rings_.reset();
}

void FloorsReport::add(const Floor& floor, const std::vector<ErrorRecord>& errors) {
  collectively(world(), [&] {
    if (!file_) return;
    if (auto* pairs = pairs_like(floor)) {
      pairs->push_back(floor);
    } else {
      print(floor);
    }
    auto entries = Json::array();
    if (!floor.skipped.empty() || !floor.round_us.empty()) {
      entries.push_back(floor_entry(floor, context_.executor));
    }
    file_->add(std::move(entries), errors);
  });
}

void FloorsReport::end_wire() {
  if (!file_ || !options_.pairs) return;
  const std::string text = pair_matrix(flags_) + pair_matrix(streams_);
  fmt::print("{}", text.empty() ? "no pairs: there is one rank\n" : text);
  std::fflush(stdout);
  flags_.clear();
  streams_.clear();
  of_rings_.reset();
}

/// Where a floor waits for others to be printed with; null: it has a line of its own.
std::vector<Floor>* FloorsReport::pairs_like(const Floor& floor) {
  if (!options_.pairs || !floor.to) return nullptr;
  if (floor.probe == ProbeKind::kFlag) return &flags_;
  const bool of_the_size =
      floor.bytes == static_cast<std::uint64_t>(size_of_pairs(options_.sizes));
  return floor.probe == ProbeKind::kPutStream && of_the_size ? &streams_ : nullptr;
}

void FloorsReport::print(const Floor& floor) {
  const bool of_rings = floor.ring.has_value();
  if (floor.skipped.empty() && of_rings_ != of_rings) {
    fmt::print("{}", floors_header(of_rings));
    of_rings_ = of_rings;
  }
  fmt::print("{}", floors_row(floor));
  std::fflush(stdout);
}

}  // namespace llep
