// SPDX-License-Identifier: MIT
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>

#include "bench/export_formats.hpp"
#include "bench/text_table.hpp"

namespace llep {
namespace {

struct Field {
  const char* name;  // with its unit
  const char* pointer;
};
constexpr std::array<Field, 37> kFields = {{
    {"name", "/name"},
    {"op", "/op"},
    {"transport", "/transport"},
    {"executor", "/executor"},
    {"status", "/status"},
    {"reason", "/reason"},
    {"passed", "/correctness/passed"},
    {"checked_iterations", "/correctness/checked_iterations"},
    {"dispatch_dtype", "/config/dispatch_dtype"},
    {"dispatch_copies", "/config/dispatch_copies"},
    {"phases", "/config/phases"},
    {"mode", "/config/mode"},
    {"chain", "/config/chain"},
    {"num_ranks", "/config/num_ranks"},
    {"num_experts", "/config/num_experts"},
    {"num_topk", "/config/num_topk"},
    {"hidden", "/config/hidden"},
    {"num_tokens", "/config/num_tokens"},
    {"routing", "/config/routing"},
    {"iters", "/config/iters"},
    {"min_us", "/latency_us/cross_rank_max/min"},
    {"avg_us", "/latency_us/cross_rank_max/avg"},
    {"p50_us", "/latency_us/cross_rank_max/p50"},
    {"p90_us", "/latency_us/cross_rank_max/p90"},
    {"p95_us", "/latency_us/cross_rank_max/p95"},
    {"p99_us", "/latency_us/cross_rank_max/p99"},
    {"p99_9_us", "/latency_us/cross_rank_max/p99_9"},
    {"max_us", "/latency_us/cross_rank_max/max"},
    {"stdev_us", "/latency_us/cross_rank_max/stdev"},
    {"cold_us", "/cold_us"},
    {"logical_bytes", "/bytes/logical/total"},
    {"nvlink_bytes", "/bytes/nvlink/total"},
    {"rdma_bytes", "/bytes/rdma/total"},
    {"logical_per_rank_gbps", "/bandwidth_gbps/logical_per_rank/avg"},
    {"unique_rank_per_rank_gbps", "/bandwidth_gbps/unique_rank_per_rank/avg"},
    {"logical_aggregate_gbps", "/bandwidth_gbps/logical_aggregate"},
    {"unique_rank_aggregate_gbps", "/bandwidth_gbps/unique_rank_aggregate"},
}};

/// Quoted where RFC 4180 asks for it.
std::string csv_cell(const nlohmann::ordered_json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.dump();
  const auto text = value.get<std::string>();
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) quoted += c == '"' ? std::string("\"\"") : std::string(1, c);
  return quoted + "\"";
}

std::string gbps_cell(const ResultEntry& entry, const char* pointer) {
  const auto value = value_at(entry.json, pointer);
  return value.is_null() ? "-" : fmt::format("{:.2f}", value.get<double>());
}

}  // namespace

std::string csv_text(const ResultFile& result) {
  std::string text;
  for (const Field& field : kFields)
    text += fmt::format("{}{}", text.empty() ? "" : ",", field.name);
  text += ",stand_ins,warnings\r\n";
  const auto joined = [](const std::vector<std::string>& texts) {
    return csv_cell(fmt::format("{}", fmt::join(texts, "; ")));
  };
  for (const ResultEntry& entry : result.entries) {
    std::string row;
    for (const Field& field : kFields) {
      if (&field != kFields.data()) row += ",";
      row += csv_cell(value_at(entry.json, field.pointer));
    }
    text += fmt::format("{},{},{}\r\n", row, joined(result.stand_ins_of(entry)),
                        joined(result.warnings()));
  }
  return text;
}

std::string markdown_text(const ResultFile& result) {
  TextTable table;
  table.columns = {{"benchmark", true}, {"min us"},       {"p50 us"},      {"p95 us"},
                   {"max us"},          {"logical GB/s"}, {"unique GB/s"}, {"check", true}};
  for (const ResultEntry& entry : result.entries) {
    const auto us = [](double value) { return fmt::format("{:.2f}", value); };
    table.rows.push_back({entry.name, us(entry.us->min), us(entry.us->p50), us(entry.us->p95),
                          us(entry.us->max),
                          gbps_cell(entry, "/bandwidth_gbps/logical_per_rank/avg"),
                          gbps_cell(entry, "/bandwidth_gbps/unique_rank_per_rank/avg"),
                          entry.passed ? "ok" : "unchecked"});
  }
  std::string text = fmt::format("{}; {}\n\n", result.where(), result.revision());
  for (const std::string& warning : result.warnings()) text += "- warning: " + warning + "\n";
  if (!result.warnings().empty()) text += "\n";
  return text + markdown_text(table);
}

}  // namespace llep
