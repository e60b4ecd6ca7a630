// SPDX-License-Identifier: MIT
#include "bench/report_json.hpp"

#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <variant>

#include "bench/metrics.hpp"
#include "bench/or_null.hpp"
#include "bench/trials.hpp"
#include "common/statistics.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;

Json value_json(const ErrorValue& value) {
  if (const auto* number = std::get_if<std::uint64_t>(&value)) return *number;
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  return nullptr;
}

Json spread_json(const std::optional<Spread>& spread) {
  if (!spread) return nullptr;
  return {{"min", spread->min}, {"avg", spread->avg}, {"max", spread->max}};
}

Json summary_json(const Summary& summary) {
  return {{"samples", summary.samples},  {"min", summary.min},
          {"avg", summary.avg},          {"p50", summary.p50},
          {"p90", summary.p90},          {"p95", summary.p95},
          {"p99", or_null(summary.p99)}, {"p99_9", or_null(summary.p99_9)},
          {"max", summary.max},          {"stdev", summary.stdev}};
}

/// The cross-rank maximum of what may not have been measured.
Json slowest_json(const RankSamples& us) {
  return us.empty() ? Json(nullptr) : summary_json(summarize(max_over_ranks(us)));
}

Json latency_json(const OpResult* op) {
  if (op == nullptr || !measured(*op)) return nullptr;
  return {{"clock", "host_observed"},
          {"cross_rank_max", summary_json(summarize(max_over_ranks(op->us)))},
          {"rank_mean", summary_json(summarize(mean_over_ranks(op->us)))},
          {"send", slowest_json(send_half(*op))},
          {"receive", slowest_json(op->receive_us)},
          {"device", slowest_json(op->device_us)},
          {"wall", slowest_json(op->wall_us)}};
}

Json entry_skew_json(const OpResult& op) {
  if (op.entry_skew_us.empty()) return nullptr;
  return {{"skew", summary_json(summarize(op.entry_skew_us))}, {"clock_error", op.clock_error_us}};
}

Json overlap_json(const OpResult& op, const RunOptions& options) {
  const auto hidden = hidden_share(op.overlap);
  if (!hidden) return nullptr;
  return {{"compute_us", options.overlap_us},
          {"receive", slowest_json(op.overlap.receive_us)},
          {"exposed", slowest_json(op.overlap.exposed_us)},
          {"hidden", *hidden}};
}

std::optional<Spread> spread_of(std::span<const std::uint64_t> counts) {
  return spread(std::vector<double>(counts.begin(), counts.end()));
}

Json load_json(const Load& load) {
  if (load.rows_per_rank.empty()) return nullptr;
  return {{"rows_per_rank", spread_json(spread_of(load.rows_per_rank))},
          {"copies_per_rank", spread_json(spread_of(load.copies_per_rank))},
          {"rows_per_expert", spread_json(spread_of(load.rows_per_expert))},
          {"ranks_per_token", spread_json(spread_of(load.ranks_per_token))}};
}

Json byte_class_json(std::span<const std::uint64_t> per_rank) {
  if (per_rank.empty()) return nullptr;
  const std::uint64_t total = std::accumulate(per_rank.begin(), per_rank.end(), std::uint64_t{0});
  return {{"total", total}, {"per_rank", spread_json(spread_of(per_rank))}};
}

Json bytes_json(const OpResult* op) {
  if (op == nullptr) return nullptr;
  const ByteClasses& bytes = op->bytes;
  return {{"logical", byte_class_json(bytes.logical)},
          {"unique_rank", byte_class_json(bytes.unique_rank)},
          {"self", byte_class_json(bytes.self)},
          {"nvlink", byte_class_json(bytes.nvlink)},
          {"rdma", byte_class_json(bytes.rdma)},
          {"messages", byte_class_json(bytes.messages)}};
}

Json bandwidth_json(const OpResult* op) {
  if (op == nullptr || !measured(*op)) return nullptr;
  const auto logical = bandwidth(op->bytes.logical, op->us);
  const auto unique_rank = bandwidth(op->bytes.unique_rank, op->us);
  const auto per_rank = [](const std::optional<Bandwidth>& value) {
    return value ? spread_json(value->per_rank) : Json(nullptr);
  };
  const auto aggregate = [](const std::optional<Bandwidth>& value) {
    return value ? Json(value->aggregate) : Json(nullptr);
  };
  return {{"logical_per_rank", per_rank(logical)},
          {"unique_rank_per_rank", per_rank(unique_rank)},
          {"logical_aggregate", aggregate(logical)},
          {"unique_rank_aggregate", aggregate(unique_rank)}};
}

Json histogram_json(const OpResult& op) {
  const Histogram histogram = histogram_of(max_over_ranks(op.us));
  return {{"from", histogram.from}, {"width", histogram.width}, {"counts", histogram.counts}};
}

Json config_json(const Case& one, const RunOptions& options) {
  const Json arguments = to_json(options);
  return {{"transport", one.transport},
          {"dispatch_dtype", to_string(one.dtype)},
          {"dispatch_copies", to_string(one.copies)},
          {"phases", to_string(one.phases)},
          {"mode", mode_label(one, options)},
          {"chain", is_chain(one.mode) ? options.chain : 1},
          {"num_ranks", one.shape.num_ranks},
          {"num_experts", one.shape.num_experts},
          {"num_topk", one.shape.num_topk},
          {"hidden", one.shape.hidden},
          {"num_tokens", one.shape.max_tokens},
          {"routing", label(one.routing)},
          {"fresh_routing", options.fresh_routing},
          {"mask", arguments["mask"]},
          {"uneven_tokens", arguments["uneven-tokens"]},
          {"payload", arguments["payload"]},
          {"zero_copy", options.zero_copy},
          {"seed", options.seed},
          {"iters", options.iters},
          {"warmup", options.warmup},
          {"trials", options.trials},
          {"flush_l2", options.flush_l2},
          {"device_clock", options.device_clock},
          {"overlap_us", options.overlap_us},
          {"check", arguments["check"]},
          {"inject", arguments["inject"]}};
}

Json correctness_json(const OpResult* op) {
  if (op == nullptr) return {{"passed", nullptr}, {"checked_iterations", 0}};
  return {{"passed", or_null(op->passed)}, {"checked_iterations", op->checked_iterations}};
}

Json floor_json(const CaseFloor& floor, const std::string& source) {
  return {{"host_us", floor.host_us},
          {"device_us", floor.device_us},
          {"limited_by", floor.limited_by},
          {"formula", floor.formula},
          {"source", source},
          {"wire_us", floor.wire_us},
          {"memory_us", floor.memory_us},
          {"put_gbps", floor.rates.put_gbps},
          {"flag_us", floor.rates.flag_us},
          {"exchange_us", floor.rates.exchange_us},
          {"local_gbps", floor.rates.local_gbps},
          {"launch_us", floor.rates.launch_us}};
}

Json entry(const CaseResult& result, Op op, const ContextInfo& context, const RunOptions& options,
           const Floors* floors) {
  const Case& which = result.which;
  const OpResult* found = find_op(result, op);
  const CaseStatus status = op_status(result, op);
  const bool timed = found != nullptr && measured(*found);
  const auto floor = timed && floors != nullptr ? floor_of(*found, which, *floors) : std::nullopt;
  const bool explained = status != CaseStatus::kOk && !result.reason.empty();
  return {{"name", case_name(which, op, mode_label(which, options), routing_label(which, options))},
          {"op", to_string(op)},
          {"transport", which.transport},
          {"executor", to_string(context.executor)},
          {"status", to_string(status)},
          {"reason", explained ? Json(result.reason) : Json(nullptr)},
          {"config", config_json(which, options)},
          {"latency_us", latency_json(found)},
          {"entry_skew_us", timed ? entry_skew_json(*found) : Json(nullptr)},
          {"overlap", timed ? overlap_json(*found, options) : Json(nullptr)},
          {"cold_us", found == nullptr ? Json(nullptr) : or_null(found->cold_us)},
          {"bytes", bytes_json(found)},
          {"bandwidth_gbps", bandwidth_json(found)},
          {"load", load_json(result.load)},
          {"floor", floor ? floor_json(*floor, floors->source()) : Json(nullptr)},
          {"floor_ratio", floor ? Json(floor_ratio(*found, *floor)) : Json(nullptr)},
          {"device_floor_ratio",
           floor ? or_null(device_floor_ratio(*found, *floor)) : Json(nullptr)},
          {"correctness", correctness_json(found)},
          {"trial_p50_us", timed ? Json(trial_medians(*found, options.iters)) : Json(nullptr)},
          {"slowest_counts", timed ? Json(slowest_counts(*found)) : Json(nullptr)},
          {"histogram_us", timed ? histogram_json(*found) : Json(nullptr)},
          {"samples_us", timed ? Json(max_over_ranks(found->us)) : Json(nullptr)}};
}

}  // namespace

nlohmann::ordered_json benchmark_entries(const CaseResult& result, const ContextInfo& context,
                                         const RunOptions& options, const Floors* floors) {
  Json entries = Json::array();
  for (const Op op : result.which.ops) {
    entries.push_back(entry(result, op, context, options, floors));
  }
  return entries;
}

nlohmann::ordered_json to_json(const TransportSummary& transport) {
  const auto known = [](const auto& list) { return list.empty() ? Json(nullptr) : Json(list); };
  return {{"name", transport.name},
          {"descriptions", transport.descriptions},
          {"stand_ins", transport.stand_ins},
          {"adapters", known(transport.adapters)},
          {"paths", known(transport.paths)},
          {"proxy_cpu", known(transport.proxy_cpu)}};
}

nlohmann::ordered_json to_json(const GateResult& gate) {
  return {{"gate", gate.gate},
          {"passed", gate.passed},
          {"worst", or_null(gate.worst)},
          {"name", gate.worst ? Json(gate.name) : Json(nullptr)},
          {"not_measured", gate.not_measured}};
}

nlohmann::ordered_json to_json(const ErrorRecord& error) {
  return {{"phase", error.phase},
          {"rank", or_null(error.rank)},
          {"peer", or_null(error.peer)},
          {"expert", or_null(error.expert)},
          {"row", or_null(error.row)},
          {"token", or_null(error.token)},
          {"column", or_null(error.column)},
          {"expected", value_json(error.expected)},
          {"seen", value_json(error.seen)},
          {"message", error.message}};
}

}  // namespace llep
