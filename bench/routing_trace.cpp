// SPDX-License-Identifier: MIT
#include "bench/routing_trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <system_error>

#include "bench/option_values.hpp"
#include "common/mix64.hpp"

namespace llep {

namespace {

/// The first of two equal experts; -1 may come as often as it likes.
const std::int64_t* repeated(std::span<const std::int64_t> experts) {
  for (auto one = experts.begin(); one != experts.end(); ++one) {
    if (*one >= 0 && std::find(experts.begin(), one, *one) != one) return &*one;
  }
  return nullptr;
}

void check_experts(const Trace& trace, const TraceRecord& record, int num_experts) {
  const auto num_topk = static_cast<std::size_t>(trace.num_topk);
  for (std::size_t token = 0; token < trace.num_tokens(record); ++token) {
    const std::span experts(record.topk_idx.data() + token * num_topk, num_topk);
    const auto refuse = [&](const std::string& what) {
      refuse_trace(trace.path, fmt::format("{}, token {}", record.where, token), what);
    };
    for (const std::int64_t expert : experts) {
      if (expert >= -1 && expert < num_experts) continue;
      refuse(fmt::format("expert {}, right are 0 to {} (num-experts {}), and -1 for not routed",
                         expert, num_experts - 1, num_experts));
    }
    if (const std::int64_t* twice = repeated(experts)) {
      refuse(fmt::format("expert {} twice, a token's experts are to be distinct", *twice));
    }
  }
}

/// Tells files apart, not adversaries.
std::uint64_t fingerprint(const Trace& trace) {
  std::uint64_t print = mix64(static_cast<std::uint64_t>(trace.num_topk));
  for (const TraceRecord& record : trace.records) {
    print = mix64(print + record.topk_idx.size());
    for (const std::int64_t expert : record.topk_idx) {
      print = mix64(print + static_cast<std::uint64_t>(expert));
    }
  }
  return print;
}

/// Collective.
void agree_on(Communicator& world, const Trace& trace) {
  const auto prints = gather_all(world, fingerprint(trace));
  const auto other = std::find_if(prints.begin(), prints.end(),
                                  [&](std::uint64_t print) { return print != prints[0]; });
  if (other == prints.end()) return;
  same_everywhere([&] {
    refuse_trace(trace.path, fmt::format("rank {}", other - prints.begin()),
                 "the file holds something else than rank 0's; give all ranks the same");
  });
}

}  // namespace

void refuse_trace(const std::string& path, const std::string& where, const std::string& what) {
  usage_error(fmt::format("--routing trace:{}: {}: {}", path, where, what));
}

std::ifstream open_trace(const std::string& path) {
  std::error_code none;  // what cannot be looked at cannot be opened either
  if (std::filesystem::is_directory(path, none)) refuse_trace(path, "a folder", "give a file");
  std::ifstream file(path, std::ios::binary);
  if (!file) refuse_trace(path, "cannot open it", std::strerror(errno));
  return file;
}

Trace read_trace(const std::string& path) {
  return path.ends_with(".npy") ? read_npy(path) : read_json_lines(path);
}

void check_fits(const Trace& trace, const MoeShape& shape) {
  const auto need = [&](bool holds, const char* what, int is, int right) {
    if (holds) return;
    refuse_trace(trace.path, "the file",
                 fmt::format("{} {}, but this run has {}", is, what, right));
  };
  need(trace.num_ranks == shape.num_ranks, "ranks", trace.num_ranks, shape.num_ranks);
  need(trace.num_topk == shape.num_topk, "experts a token", trace.num_topk, shape.num_topk);
  for (const TraceRecord& record : trace.records) {
    if (trace.num_tokens(record) < static_cast<std::size_t>(shape.max_tokens)) {
      refuse_trace(trace.path, record.where,
                   fmt::format("{} tokens, but num-tokens is {}: give at least as many",
                               trace.num_tokens(record), shape.max_tokens));
    }
    check_experts(trace, record, shape.num_experts);
  }
}

void load_traces(Communicator& world, std::vector<Case>& cases) {
  std::map<std::string, std::shared_ptr<const Trace>> traces;
  collectively(world, [&] {
    for (Case& one : cases) {
      if (one.routing.kind != RoutingPattern::Kind::kTrace) continue;
      auto& trace = traces[one.routing.file];
      if (!trace) trace = std::make_shared<const Trace>(read_trace(one.routing.file));
      check_fits(*trace, one.shape);
      one.trace = trace;
    }
  });
  for (const auto& [path, trace] : traces) agree_on(world, *trace);
}

std::map<std::string, std::string> trace_digests(const std::vector<Case>& cases) {
  std::map<std::string, std::string> digests;
  for (const Case& one : cases) {
    if (!one.trace) continue;
    const std::string name = std::filesystem::path(one.trace->path).filename().string();
    digests[name] = fmt::format("{:016x}", fingerprint(*one.trace));
  }
  return digests;
}

}  // namespace llep
