// SPDX-License-Identifier: MIT
#include "bench/metrics.hpp"

#include <algorithm>
#include <functional>
#include <numeric>

#include "common/statistics.hpp"

namespace llep {
namespace {

constexpr double kGbpsPerBytePerUs = 1e-3;  // 1 byte/us = 1e6 byte/s

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

}  // namespace

std::optional<Spread> spread(std::span<const double> values) {
  if (values.empty()) return std::nullopt;
  const auto [least, most] = std::minmax_element(values.begin(), values.end());
  return Spread{*least, mean(values), *most};
}

std::optional<Bandwidth> bandwidth(std::span<const std::uint64_t> bytes,
                                   const RankSamples& us) {
  if (bytes.empty() || bytes.size() != us.size() || us.front().empty()) return std::nullopt;
  std::vector<double> per_rank;
  double all_bytes = 0.0;
  for (std::size_t rank = 0; rank < bytes.size(); ++rank) {
    const auto own = static_cast<double>(bytes[rank]);
    per_rank.push_back(own / mean(us[rank]) * kGbpsPerBytePerUs);
    all_bytes += own;
  }
  const double aggregate = all_bytes / mean(max_over_ranks(us)) * kGbpsPerBytePerUs;
  return Bandwidth{*spread(per_rank), aggregate};
}

CaseStatus op_status(const CaseResult& result, Op op) {
  if (result.status != CaseStatus::kFailed) return result.status;
  const auto failed = [](const OpResult& one) { return one.passed == false; };
  const bool by_check = std::any_of(result.ops.begin(), result.ops.end(), failed);
  const OpResult* own = find_op(result, op);
  const bool unharmed = by_check && own != nullptr && !failed(*own);
  return unharmed ? CaseStatus::kOk : CaseStatus::kFailed;
}

const OpResult* find_op(const CaseResult& result, Op op) {
  const auto found = std::find_if(result.ops.begin(), result.ops.end(),
                                  [op](const OpResult& one) { return one.op == op; });
  return found == result.ops.end() ? nullptr : &*found;
}

bool measured(const OpResult& op) { return !op.us.empty() && !op.us.front().empty(); }

RankSamples send_half(const OpResult& op) {
  if (op.receive_us.empty()) return {};
  RankSamples send = op.us;
  for (std::size_t rank = 0; rank < op.receive_us.size(); ++rank) {
    std::transform(send[rank].begin(), send[rank].end(), op.receive_us[rank].begin(),
                   send[rank].begin(), std::minus<>());
  }
  return send;
}

std::optional<double> hidden_share(const Overlap& overlap) {
  if (overlap.receive_us.empty()) return std::nullopt;
  const double receive = summarize(max_over_ranks(overlap.receive_us)).p50;
  if (receive <= 0) return std::nullopt;
  return 1.0 - summarize(max_over_ranks(overlap.exposed_us)).p50 / receive;
}

std::vector<std::size_t> slowest_counts(const OpResult& op) {
  std::vector<std::size_t> counts(op.us.size());
  for (std::size_t i = 0; i < op.us.front().size(); ++i) {
    const auto slowest =
        std::max_element(op.us.begin(), op.us.end(),
                         [i](const auto& a, const auto& b) { return a[i] < b[i]; });
    ++counts[static_cast<std::size_t>(slowest - op.us.begin())];
  }
  return counts;
}

}  // namespace llep
