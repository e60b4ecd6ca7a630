// SPDX-License-Identifier: MIT
#include <algorithm>
#include <cstring>

#include "bench/case_run.hpp"
#include "bench/reference_checks.hpp"

/// CaseRun's judgement: small outputs are copied to the host, rows are compared where they lie with
/// rows that the host has computed, and copied only to name what is wrong.
namespace llep {

namespace {

std::size_t size(int n) { return static_cast<std::size_t>(n); }

template <class T>
std::vector<T> download(Device& device, const Memory& memory, std::size_t n) {
  std::vector<T> values(n);
  if (n > 0) device.copy(values.data(), memory.get(), n * sizeof(T));
  return values;
}

}  // namespace

DispatchedRow CaseRun::dispatched_rows(std::uint64_t epoch) const {
  return setup_.payload == Payload::kReference ? reference_rows()
                                               : hashed_rows(setup_.seed, epoch);
}

std::optional<Mismatch> CaseRun::check_dispatch(std::uint64_t epoch) {
  Device& device = context_.device;
  const std::size_t rows = size(shape().num_local_experts()) *
                           static_cast<std::size_t>(shape().capacity());
  const auto counts = download<int>(device, counts_, size(shape().num_local_experts()));
  const auto ranges = download<std::int64_t>(device, ranges_, size(shape().num_experts));
  if (setup_.payload == Payload::kReference) {
    if (auto bad = check_reference_counts(routing_, context_.world.rank(), counts, ranges)) {
      return bad;
    }
  }
  if (auto bad = check_counts(expected_, counts)) return bad;
  if (auto bad = check_layout(expected_, ranges)) return bad;
  if (auto bad = check_src_info(expected_, download<int>(device, src_info_, rows))) return bad;
  if (auto bad = check_rows_in_place(epoch)) return bad;
  if (auto bad = check_guards()) return bad;
  if (setup_.payload != Payload::kReference) return std::nullopt;
  const auto packed = download<std::byte>(device, packed_, rows * packed_row_bytes());
  std::vector<float> scales;
  if (fp8()) scales = download<float>(device, scales_, rows * size(shape().num_scales()));
  return check_reference_rows(
      shape(), context_.world.rank(), counts,
      fp8() ? packed_fp8(shape(), reinterpret_cast<const Fp8*>(packed.data()), scales.data())
            : packed_bf16(shape(), reinterpret_cast<const Bf16*>(packed.data())));
}

void CaseRun::upload_expected_rows(std::uint64_t epoch) {
  const DispatchedRow dispatched = dispatched_rows(epoch);
  const std::size_t row_bytes = packed_row_bytes() + scale_bytes();
  std::vector<std::byte> rows(size(shape().num_ranks * shape().max_tokens) * row_bytes);
  std::vector<Bf16> x(size(shape().hidden));
  int last = -1;
  for (const ReceivedRow& at : expected_.rows) {
    const int sent = at.source * shape().max_tokens + at.token;
    if (sent == last) continue;  // the same token's next selection
    last = sent;
    dispatched(at.source, at.token, x);
    std::byte* row = rows.data() + size(sent) * row_bytes;
    if (fp8()) {
      std::vector<float> scales(size(shape().num_scales()));
      quantize_row(x, {reinterpret_cast<Fp8*>(row), x.size()}, scales);
      std::memcpy(row + packed_row_bytes(), scales.data(), scale_bytes());
    } else {
      std::memcpy(row, x.data(), row_bytes);
    }
  }
  context_.device.copy(expected_rows_.get(), rows.data(), rows.size());
}

std::uint64_t CaseRun::first_bad_row() {
  auto* first_bad = reinterpret_cast<std::uint64_t*>(first_bad_.get());
  *first_bad = CompareRows::kEqual;
  CompareRows work{.seen = packed_.get(),
                   .expected = expected_rows_.get(),
                   .num_words = static_cast<int>(packed_row_bytes() / sizeof(std::uint32_t)),
                   .rows = reinterpret_cast<const ComparedRow*>(compared_.get()),
                   .num_rows = static_cast<int>(expected_.rows.size()),
                   .first_bad = first_bad};
  context_.launcher.compare(work);
  if (fp8()) {
    work.seen = scales_.get();
    work.seen_word_stride = static_cast<std::uint64_t>(shape().capacity()) * sizeof(float);
    work.num_words = shape().num_scales();
    work.rows = reinterpret_cast<const ComparedRow*>(compared_scales_.get());
    context_.launcher.compare(work);
  }
  context_.device.synchronize();
  return *first_bad;
}

std::optional<Mismatch> CaseRun::check_rows_in_place(std::uint64_t epoch) {
  upload_expected_rows(epoch);
  const std::uint64_t bad = first_bad_row();
  if (bad == CompareRows::kEqual) return std::nullopt;
  return explain(static_cast<std::size_t>(bad >> 32), epoch);
}

Mismatch CaseRun::explain(std::size_t index, std::uint64_t epoch) {
  const ReceivedRow at = expected_.rows[index];
  const std::size_t capacity = static_cast<std::size_t>(shape().capacity());
  const std::size_t expert = size(at.local_expert);
  // The host check sees this one row, as if it were its expert's only one.
  std::vector<std::byte> row(packed_row_bytes());
  context_.device.copy(
      row.data(),
      packed_.get() + (expert * capacity + static_cast<std::size_t>(at.row)) * row.size(),
      row.size());
  std::vector<float> scales(size(shape().num_scales()));
  for (std::size_t g = 0; fp8() && g < scales.size(); ++g) {
    const auto* from = reinterpret_cast<const float*>(scales_.get()) +
                       (expert * scales.size() + g) * capacity + static_cast<std::size_t>(at.row);
    context_.device.copy(&scales[g], from, sizeof(float));
  }
  ExpectedDispatch one = expected_;
  one.rows = {at};
  one.rows.front().row = 0;
  PackedRows packed{.dtype = setup_.layout.dtype, .row_stride = 0, .scale_stride = 1};
  packed.experts.assign(size(shape().num_local_experts()), row.data());
  packed.scales.assign(size(shape().num_local_experts()), scales.data());
  if (auto bad = check_rows(one, packed, dispatched_rows(epoch))) {
    bad->row = at.row;
    return *bad;
  }
  return Mismatch{.what = "dispatch",
                  .rank = context_.world.rank(),
                  .expert = one.global_expert(at.local_expert),
                  .row = at.row,
                  .source = at.source,
                  .token = at.token,
                  .expected = "the row the host computed",
                  .seen = "another one on the device, but not in its copy"};
}

std::optional<Mismatch> CaseRun::check_guards() {
  const auto capacity = static_cast<int>(shape().capacity());
  std::vector<std::byte> row(packed_row_bytes());
  for (const int guard : guard_rows_) {
    context_.device.copy(row.data(), packed_.get() + size(guard) * row.size(), row.size());
    for (const std::byte seen : row) {
      if (seen == std::byte{PoisonRows::kByte}) continue;
      return Mismatch{.what = "dispatch",
                      .rank = context_.world.rank(),
                      .expert = expected_.global_expert(guard / capacity),
                      .row = guard % capacity,
                      .expected = "the row behind the last to be untouched",
                      .seen = "it was written"};
    }
  }
  return std::nullopt;
}

std::optional<Mismatch> CaseRun::check_combine(std::uint64_t epoch) {
  const auto combined = download<Bf16>(context_.device, out_,
                                       size(setup_.routing.num_tokens) * size(shape().hidden));
  if (setup_.payload == Payload::kReference) {
    return check_reference_combine(routing_, context_.world.rank(), combined);
  }
  return llep::check_combine(routing_, context_.world.rank(), combined,
                             hashed_expert_rows(setup_.seed, epoch));
}

void CaseRun::corrupt_row(Bf16* row) {
  Bf16 value = 0;
  context_.device.copy(&value, row, sizeof value);
  value ^= 0x0100;  // an exponent bit: survives quantisation
  context_.device.copy(row, &value, sizeof value);
}

/// An injected fault that has nothing to damage would prove nothing.
int CaseRun::first_routed_token() const {
  const auto& topk = setup_.routing.topk_idx;
  const auto routed = std::find_if(topk.begin(), topk.end(),
                                   [&](std::int64_t expert) { return expert >= 0; });
  if (routed == topk.end()) {
    throw Error(ExitCode::kUsage, "--inject: this rank dispatches nothing; name another rank");
  }
  return static_cast<int>(routed - topk.begin()) / shape().num_topk;
}

void CaseRun::need_expert_rows() const {
  if (!expected_.rows.empty()) return;
  throw Error(ExitCode::kUsage, "--inject: this rank's experts got nothing; name another rank");
}

void CaseRun::corrupt_dispatched_row() {
  corrupt_row(reinterpret_cast<Bf16*>(x_.get()) +
              size(first_routed_token()) * size(shape().hidden));
}

void CaseRun::corrupt_expert_row() {
  need_expert_rows();
  corrupt_row(expert_output() + size(packed_row(expected_.rows.front())) * size(shape().hidden));
}

void CaseRun::drop_dispatched_signal() { ep_.drop_signal(first_routed_token()); }

void CaseRun::drop_expert_signal() {
  need_expert_rows();
  ep_.drop_signal(0);
}

void CaseRun::misroute() {
  auto topk = setup_.routing.topk_idx;
  const auto num_topk = static_cast<std::ptrdiff_t>(shape().num_topk);
  const auto token = topk.begin() + first_routed_token() * num_topk;
  const auto selected =
      std::find_if(token, token + num_topk, [](std::int64_t expert) { return expert >= 0; });
  // An expert the token does not have yet; where it has all, one is left out.
  *selected = -1;
  for (int e = shape().num_experts - 1; e >= 0 && *selected < 0; --e) {
    const auto& had = setup_.routing.topk_idx;
    const auto first = had.begin() + (token - topk.begin());
    if (std::find(first, first + num_topk, e) == first + num_topk) *selected = e;
  }
  context_.device.copy(topk_.get(), topk.data(), topk.size() * sizeof(topk[0]));
}

}  // namespace llep
