// SPDX-License-Identifier: MIT
#include "bench/row_sources.hpp"

#include <utility>

#include "kernels/payload.hpp"

namespace llep {

namespace {

void fill_hashed(PayloadKey key, std::span<Bf16> row) {
  const std::uint64_t row_key = payload_row_key(key);
  int column = 0;
  for (Bf16& value : row) value = payload_value(row_key, column++);
}

}  // namespace

DispatchedRow hashed_rows(std::uint64_t seed, std::uint64_t epoch) {
  return [seed, epoch](int rank, int token, std::span<Bf16> row) {
    fill_hashed({.seed = seed, .epoch = epoch, .rank = rank, .token = token, .k = -1}, row);
  };
}

ExpertRow hashed_expert_rows(std::uint64_t seed, std::uint64_t epoch) {
  return [seed, epoch](int owner, int token, int k, std::span<Bf16> row) {
    fill_hashed({.seed = seed, .epoch = epoch, .rank = owner, .token = token, .k = k}, row);
  };
}

DispatchedRow reference_rows() {
  return [](int rank, int token, std::span<Bf16> row) {
    const int hidden = static_cast<int>(row.size());
    int column = 0;
    for (Bf16& value : row) value = reference_payload_value(rank, token, hidden, column++);
  };
}

ExpertRow identity_expert(DispatchedRow dispatched) {
  return [dispatched = std::move(dispatched)](int owner, int token, int, std::span<Bf16> row) {
    dispatched(owner, token, row);
  };
}

}  // namespace llep
