// SPDX-License-Identifier: MIT
#include "bench/traffic.hpp"

#include <algorithm>
#include <array>
#include <functional>

namespace llep {

namespace {

ByteClasses count_bytes(const GlobalRouting& routing, const Case& one, Op op,
                        const Nodes& nodes) {
  ByteClasses bytes;
  const auto row = static_cast<std::uint64_t>(row_bytes(op, one.dtype, one.shape.hidden));
  for (int rank = 0; rank < one.shape.num_ranks; ++rank) {
    const ByteCounts counts = op == Op::kDispatch
                                  ? dispatch_bytes(routing, rank, row, one.copies)
                                  : combine_bytes(routing, rank, row);
    bytes.logical.push_back(counts.logical);
    bytes.unique_rank.push_back(counts.unique_rank);
    bytes.self.push_back(counts.self);
    std::uint64_t near = 0;
    for (int to = 0; to < one.shape.num_ranks; ++to) {
      if (to != rank && nodes.near(one.transport, rank, to)) {
        near += counts.rows_to_rank[static_cast<std::size_t>(to)] * row;
      }
    }
    bytes.nvlink.push_back(near);
    bytes.rdma.push_back(counts.remote - near);
    bytes.messages.push_back(counts.messages);
  }
  return bytes;
}

constexpr std::array kByteClasses = {&ByteClasses::logical, &ByteClasses::unique_rank,
                                     &ByteClasses::self,    &ByteClasses::nvlink,
                                     &ByteClasses::rdma,    &ByteClasses::messages};
constexpr std::array kFloorWorks = {&FloorWork::wire, &FloorWork::memory};

void add(std::vector<std::uint64_t>& sum, const std::vector<std::uint64_t>& more) {
  sum.resize(more.size());
  std::transform(sum.begin(), sum.end(), more.begin(), sum.begin(), std::plus<>());
}

void divide(std::vector<std::uint64_t>& sum, std::uint64_t by) {
  for (std::uint64_t& one : sum) one = (one + by / 2) / by;
}

/// [num_ranks] how many of a token's experts each rank has.
std::vector<std::uint64_t> rows_of_token(const GlobalRouting& routing, int source, int token) {
  std::vector<std::uint64_t> rows(static_cast<std::size_t>(routing.shape.num_ranks));
  for (int k = 0; k < routing.shape.num_topk; ++k) {
    const std::int64_t expert = routing.topk_idx[routing.index(source, token, k)];
    if (expert < 0) continue;
    ++rows[static_cast<std::size_t>(routing.shape.owner(static_cast<int>(expert)))];
  }
  return rows;
}

/// f(source, rows of the token) for all tokens of all ranks.
template <class F>
void for_each_token(const GlobalRouting& routing, F f) {
  for (int source = 0; source < routing.shape.num_ranks; ++source) {
    const int num_tokens = routing.num_tokens[static_cast<std::size_t>(source)];
    for (int token = 0; token < num_tokens; ++token) {
      f(static_cast<std::size_t>(source), rows_of_token(routing, source, token));
    }
  }
}

void add_dispatch(const GlobalRouting& routing, std::uint64_t sent_row, std::uint64_t bf16_row,
                  FloorWork& work) {
  for_each_token(routing, [&](std::size_t source, const std::vector<std::uint64_t>& rows) {
    const auto needs = [](std::uint64_t num_rows) { return num_rows > 0; };
    if (std::any_of(rows.begin(), rows.end(), needs)) work.memory[source] += bf16_row;
    for (std::size_t rank = 0; rank < rows.size(); ++rank) {
      if (rows[rank] == 0) continue;
      work.memory[rank] += rows[rank] * sent_row;
      if (rank == source) continue;
      work.wire[source] += sent_row;
      work.memory[rank] += sent_row;
    }
  });
}

void add_combine(const GlobalRouting& routing, std::uint64_t bf16_row, FloorWork& work) {
  for_each_token(routing, [&](std::size_t source, const std::vector<std::uint64_t>& rows) {
    work.memory[source] += bf16_row;
    for (std::size_t rank = 0; rank < rows.size(); ++rank) {
      if (rows[rank] == 0) continue;
      work.memory[rank] += rows[rank] * bf16_row;
      if (rank == source) continue;
      work.wire[rank] += bf16_row;
      work.memory[source] += bf16_row;
    }
  });
}

/// Of both ops: combine sends back.
bool all_to_all(const GlobalRouting& routing) {
  const auto num_ranks = static_cast<std::size_t>(routing.shape.num_ranks);
  std::vector<std::uint64_t> rows_between(num_ranks * num_ranks);
  for_each_token(routing, [&](std::size_t source, const std::vector<std::uint64_t>& rows) {
    for (std::size_t rank = 0; rank < num_ranks; ++rank) {
      rows_between[source * num_ranks + rank] += rows[rank];
    }
  });
  for (std::size_t rank = 0; rank < num_ranks; ++rank) rows_between[rank * (num_ranks + 1)] = 1;
  return std::find(rows_between.begin(), rows_between.end(), 0U) == rows_between.end();
}

}  // namespace

ByteClasses bytes_of(const GlobalRouting& routing, const Case& one, Op op, const Nodes& nodes) {
  if (op != Op::kPair) return count_bytes(routing, one, op, nodes);
  ByteClasses bytes = count_bytes(routing, one, Op::kDispatch, nodes);
  const ByteClasses combine = count_bytes(routing, one, Op::kCombine, nodes);
  for (const auto list : kByteClasses) add(bytes.*list, combine.*list);
  return bytes;
}

Load load_of(const GlobalRouting& routing) {
  const MoeShape& shape = routing.shape;
  const auto num_ranks = static_cast<std::size_t>(shape.num_ranks);
  Load load;
  load.rows_per_rank.resize(num_ranks);
  load.copies_per_rank.resize(num_ranks);
  load.rows_per_expert.resize(static_cast<std::size_t>(shape.num_experts));
  for (const std::int64_t expert : routing.topk_idx) {
    if (expert >= 0) ++load.rows_per_expert[static_cast<std::size_t>(expert)];
  }
  for_each_token(routing, [&](std::size_t /*source*/, const std::vector<std::uint64_t>& rows) {
    std::uint64_t num_ranks_of_token = 0;
    for (std::size_t rank = 0; rank < num_ranks; ++rank) {
      load.rows_per_rank[rank] += rows[rank];
      load.copies_per_rank[rank] += rows[rank] > 0 ? 1 : 0;
      num_ranks_of_token += rows[rank] > 0 ? 1 : 0;
    }
    load.ranks_per_token.push_back(num_ranks_of_token);
  });
  return load;
}

FloorWork floor_work(const GlobalRouting& routing, const Case& one, Op op) {
  const auto num_ranks = static_cast<std::size_t>(one.shape.num_ranks);
  const auto row = [&](Op of) {
    return static_cast<std::uint64_t>(row_bytes(of, one.dtype, one.shape.hidden));
  };
  FloorWork work{.wire = std::vector<std::uint64_t>(num_ranks),
                 .memory = std::vector<std::uint64_t>(num_ranks),
                 .all_to_all = all_to_all(routing)};
  if (op != Op::kCombine) add_dispatch(routing, row(Op::kDispatch), row(Op::kCombine), work);
  if (op != Op::kDispatch) add_combine(routing, row(Op::kCombine), work);
  return work;
}

void add_traffic(const GlobalRouting& routing, const Case& one, const Nodes& nodes,
                 std::vector<OpResult>& ops) {
  for (OpResult& op : ops) {
    const ByteClasses bytes = bytes_of(routing, one, op.op, nodes);
    const FloorWork work = floor_work(routing, one, op.op);
    for (const auto list : kByteClasses) add(op.bytes.*list, bytes.*list);
    for (const auto list : kFloorWorks) add(op.floor_work.*list, work.*list);
    op.floor_work.all_to_all = op.floor_work.all_to_all && work.all_to_all;
  }
}

void average_traffic(int num_routings, std::vector<OpResult>& ops) {
  if (num_routings == 0) return;
  const auto by = static_cast<std::uint64_t>(num_routings);
  for (OpResult& op : ops) {
    for (const auto list : kByteClasses) divide(op.bytes.*list, by);
    for (const auto list : kFloorWorks) divide(op.floor_work.*list, by);
  }
}

}  // namespace llep
