// SPDX-License-Identifier: MIT
#include "bench/traffic.hpp"

#include <algorithm>
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

std::vector<std::uint64_t> sum_of(const std::vector<std::uint64_t>& a,
                                  const std::vector<std::uint64_t>& b) {
  std::vector<std::uint64_t> sum(a.size());
  std::transform(a.begin(), a.end(), b.begin(), sum.begin(), std::plus<>());
  return sum;
}

}  // namespace

ByteClasses bytes_of(const GlobalRouting& routing, const Case& one, Op op, const Nodes& nodes) {
  if (op != Op::kPair) return count_bytes(routing, one, op, nodes);
  const ByteClasses dispatch = count_bytes(routing, one, Op::kDispatch, nodes);
  const ByteClasses combine = count_bytes(routing, one, Op::kCombine, nodes);
  return {.logical = sum_of(dispatch.logical, combine.logical),
          .unique_rank = sum_of(dispatch.unique_rank, combine.unique_rank),
          .self = sum_of(dispatch.self, combine.self),
          .nvlink = sum_of(dispatch.nvlink, combine.nvlink),
          .rdma = sum_of(dispatch.rdma, combine.rdma),
          .messages = sum_of(dispatch.messages, combine.messages)};
}

std::vector<std::uint64_t> rows_of_experts(const GlobalRouting& routing) {
  std::vector<std::uint64_t> rows(static_cast<std::size_t>(routing.shape.num_experts));
  for (const std::int64_t expert : routing.topk_idx) {
    if (expert >= 0) ++rows[static_cast<std::size_t>(expert)];
  }
  return rows;
}

}  // namespace llep
