// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "bench/sweep.hpp"
#include "common/communicator.hpp"
#include "common/moe_shape.hpp"

/// Routings recorded elsewhere: `--routing trace:FILE`. docs/routing.md describes both formats.
namespace llep {

/// One rank's selections of one step.
struct TraceRecord {
  std::string where;                   // "line 3", "byte 128 (step 0, rank 0)": for errors
  std::vector<std::int64_t> topk_idx;  // [tokens, num_topk]; -1: not routed
};

struct Trace {
  std::string path;
  int num_steps = 0;
  int num_ranks = 0;
  int num_topk = 0;
  std::vector<TraceRecord> records;  // [num_steps, num_ranks]

  const TraceRecord& at(int step, int rank) const {
    return records[static_cast<std::size_t>(step) * static_cast<std::size_t>(num_ranks) +
                   static_cast<std::size_t>(rank)];
  }
  std::size_t num_tokens(const TraceRecord& record) const {
    return record.topk_idx.size() / static_cast<std::size_t>(num_topk);
  }
};

/// A name that ends in .npy is a NumPy file, any other JSON lines. Throws Error(kUsage) with file,
/// place, what is wrong there and what would be right.
Trace read_trace(const std::string& path);

/// Throws Error(kUsage) where the trace is not of these ranks, experts and num_topk, or has fewer
/// tokens than max_tokens.
void check_fits(const Trace& trace, const MoeShape& shape);

/// Collective: reads the traces of all cases, each once, and checks that they fit and are the same
/// file on all ranks.
void load_traces(Communicator& world, std::vector<Case>& cases);

/// Of the loaded traces, by their files' names without folders: equal exactly where what they hold
/// is.
std::map<std::string, std::string> trace_digests(const std::vector<Case>& cases);

/// The readers of both formats, and what they share.
Trace read_json_lines(const std::string& path);
Trace read_npy(const std::string& path);
std::ifstream open_trace(const std::string& path);
[[noreturn]] void refuse_trace(const std::string& path, const std::string& where,
                               const std::string& what);

}  // namespace llep
