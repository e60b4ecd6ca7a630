// SPDX-License-Identifier: MIT
#include "bench/case_run.hpp"

#include <algorithm>
#include <cstring>

namespace llep {

namespace {

template <class T>
T* as(const Memory& memory) {
  return reinterpret_cast<T*>(memory.get());
}

std::size_t size(int n) { return static_cast<std::size_t>(n); }

}  // namespace

CaseRun::CaseRun(const RankContext& context, const CaseSetup& setup)
    : context_(context),
      setup_(setup),
      ep_(context.world, context.launcher, context.transport, context.heap, setup.layout,
          setup.device_clock) {
  collectively(context.world, [&] {
    allocate_inputs();
    allocate_outputs();
    send_in_place();
  });
  reroute(setup.routing);
}

void CaseRun::reroute(const RankRouting& routing) {
  setup_.routing = routing;
  routing_ = gather_routing(context_.world, shape(), routing);
  expected_ = expected_dispatch(routing_, context_.world.rank());
  collectively(context_.world, [&] {
    upload_routing();
    list_rows();
    list_poisoned();
  });
}

void CaseRun::allocate_inputs() {
  Device& device = context_.device;
  const std::size_t selections = size(shape().max_tokens) * size(shape().num_topk);
  x_ = device.allocate_pages(size(shape().max_tokens) * size(shape().hidden) * sizeof(Bf16));
  topk_ = device.allocate(selections * sizeof(std::int64_t));
  weights_ = device.allocate(selections * sizeof(float));
}

/// bf16 rows are sent as they lie where the transport can.
void CaseRun::send_in_place() {
  const std::size_t row_bytes = size(shape().hidden) * sizeof(Bf16);
  if (!fp8()) {
    sources_.push_back(
        context_.transport.send_from(x_.get(), size(shape().max_tokens) * row_bytes));
  }
  if (!expert_output_) return;
  const std::size_t rows =
      size(shape().num_local_experts()) * static_cast<std::size_t>(shape().capacity());
  sources_.push_back(context_.transport.send_from(expert_output_.get(), rows * row_bytes));
}

std::size_t CaseRun::packed_row_bytes() const {
  return size(shape().hidden) * (fp8() ? sizeof(Fp8) : sizeof(Bf16));
}

/// Of an FP8 row; BF16 has none.
std::size_t CaseRun::scale_bytes() const {
  return fp8() ? size(shape().num_scales()) * sizeof(float) : 0;
}

int CaseRun::packed_row(const ReceivedRow& at) const {
  return at.local_expert * static_cast<int>(shape().capacity()) + static_cast<int>(at.row);
}

void CaseRun::allocate_outputs() {
  Device& device = context_.device;
  const std::size_t rows = size(shape().num_local_experts()) *
                           static_cast<std::size_t>(shape().capacity());
  packed_ = device.allocate(rows * packed_row_bytes());
  if (fp8()) scales_ = device.allocate(rows * size(shape().num_scales()) * sizeof(float));
  counts_ = device.allocate(size(shape().num_local_experts()) * sizeof(std::int32_t));
  src_info_ = device.allocate(rows * sizeof(std::int32_t));
  ranges_ = device.allocate(size(shape().num_experts) * sizeof(std::int64_t));
  if (ep_.expert_output() == nullptr) {
    expert_output_ = device.allocate_pages(rows * size(shape().hidden) * sizeof(Bf16));
  }
  out_ = device.allocate(size(shape().max_tokens) * size(shape().hidden) * sizeof(Bf16));
  // Rows that nobody writes keep the poison for the whole case.
  device.fill(packed_.get(), PoisonRows::kByte, rows * packed_row_bytes());
  expected_rows_ = device.allocate(size(shape().num_ranks * shape().max_tokens) *
                                   (packed_row_bytes() + scale_bytes()));
  first_bad_ = device.allocate_pinned(sizeof(std::uint64_t));
}

Memory CaseRun::upload(const void* data, std::size_t bytes) {
  Memory memory = context_.device.allocate(bytes);
  if (bytes > 0) context_.device.copy(memory.get(), data, bytes);
  return memory;
}

/// The own tokens, and what the other ranks send here: where it lies and what it is compared with.
void CaseRun::list_rows() {
  const auto capacity = static_cast<int>(shape().capacity());
  const std::size_t row_bytes = packed_row_bytes() + scale_bytes();
  std::vector<OwnedRow> own(size(setup_.routing.num_tokens));
  for (std::size_t t = 0; t < own.size(); ++t) {
    const auto token = static_cast<int>(t);
    own[t] = {.row = token, .rank = context_.world.rank(), .token = token};
  }
  std::vector<OwnedRow> received;
  std::vector<ComparedRow> rows;
  std::vector<ComparedRow> scales;
  for (const ReceivedRow& at : expected_.rows) {
    const int row = packed_row(at);
    const std::size_t sent = size(at.source * shape().max_tokens + at.token) * row_bytes;
    received.push_back({.row = row, .rank = at.source, .token = at.token, .k = at.k});
    rows.push_back({.seen = size(row) * packed_row_bytes(), .expected = sent});
    scales.push_back({.seen = (size(at.local_expert) * size(shape().num_scales()) *
                                   static_cast<std::size_t>(capacity) +
                               static_cast<std::size_t>(at.row)) *
                              sizeof(float),
                      .expected = sent + packed_row_bytes()});
  }
  own_rows_ = upload(own.data(), own.size() * sizeof(OwnedRow));
  received_rows_ = upload(received.data(), received.size() * sizeof(OwnedRow));
  compared_ = upload(rows.data(), rows.size() * sizeof(ComparedRow));
  if (fp8()) compared_scales_ = upload(scales.data(), scales.size() * sizeof(ComparedRow));
}

/// Received rows, and behind each expert's last one a row that guards it.
void CaseRun::list_poisoned() {
  const auto capacity = static_cast<int>(shape().capacity());
  guard_rows_.clear();
  for (int e = 0; e < shape().num_local_experts(); ++e) {
    const int count = expected_.packed_recv_count[size(e)];
    if (count < capacity) guard_rows_.push_back(e * capacity + count);
  }
  std::vector<std::int32_t> poisoned(guard_rows_.begin(), guard_rows_.end());
  for (const ReceivedRow& at : expected_.rows) poisoned.push_back(packed_row(at));
  num_poisoned_ = static_cast<int>(poisoned.size());
  poisoned_ = upload(poisoned.data(), poisoned.size() * sizeof(std::int32_t));
}

Bf16* CaseRun::expert_output() const {
  return expert_output_ ? as<Bf16>(expert_output_) : ep_.expert_output();
}

DispatchOutputs CaseRun::outputs() const {
  return {.packed_recv_x = packed_.get(),
          .packed_recv_scales = as<float>(scales_),
          .packed_recv_count = as<std::int32_t>(counts_),
          .src_info = as<std::int32_t>(src_info_),
          .layout_range = as<std::int64_t>(ranges_)};
}

void CaseRun::upload_routing() {
  upload_topk();
  context_.device.copy(weights_.get(), setup_.routing.weights.data(),
                       setup_.routing.weights.size() * sizeof(float));
}

void CaseRun::upload_topk() {
  context_.device.copy(topk_.get(), setup_.routing.topk_idx.data(),
                       setup_.routing.topk_idx.size() * sizeof(std::int64_t));
}

void CaseRun::fill(std::uint64_t epoch) {
  upload_topk();
  FillRows work{.to = as<Bf16>(x_),
                .hidden = shape().hidden,
                .rows = as<OwnedRow>(own_rows_),
                .num_rows = setup_.routing.num_tokens,
                .payload = setup_.payload,
                .seed = setup_.seed,
                .epoch = epoch};
  context_.launcher.fill(work);
  if (setup_.payload == Payload::kHash) {
    work.to = expert_output();
    work.rows = as<OwnedRow>(received_rows_);
    work.num_rows = static_cast<int>(expected_.rows.size());
    context_.launcher.fill(work);
  }
}

void CaseRun::poison() {
  Device& device = context_.device;
  const std::size_t capacity = static_cast<std::size_t>(shape().capacity());
  const std::size_t rows = size(shape().num_local_experts()) * capacity;
  context_.launcher.poison({.to = packed_.get(),
                            .row_bytes = static_cast<std::uint32_t>(packed_row_bytes()),
                            .rows = as<std::int32_t>(poisoned_),
                            .num_rows = num_poisoned_});
  const auto fill = [&](const Memory& memory, std::size_t bytes) {
    device.fill(memory.get(), PoisonRows::kByte, bytes);
  };
  if (fp8()) fill(scales_, rows * size(shape().num_scales()) * sizeof(float));
  fill(counts_, size(shape().num_local_experts()) * sizeof(std::int32_t));
  fill(src_info_, rows * sizeof(std::int32_t));
  fill(ranges_, size(shape().num_experts) * sizeof(std::int64_t));
  fill(out_, size(shape().max_tokens) * size(shape().hidden) * sizeof(Bf16));
}

void CaseRun::dispatch(Halves halves) {
  ep_.dispatch(halves,
               {.num_tokens = setup_.routing.num_tokens,
                .x = as<Bf16>(x_),
                .topk_idx = as<std::int64_t>(topk_)},
               outputs());
}

void CaseRun::combine(Halves halves) {
  ep_.combine(halves,
              {.expert_output = expert_output(),
               .num_tokens = setup_.routing.num_tokens,
               .topk_idx = as<std::int64_t>(topk_),
               .topk_weights = as<float>(weights_)},
              as<Bf16>(out_));
}

void CaseRun::apply_expert() {
  if (setup_.payload != Payload::kReference) return;
  context_.launcher.expert({.to = expert_output(),
                            .from = packed_.get(),
                            .scales = as<float>(scales_),
                            .hidden = shape().hidden,
                            .capacity = static_cast<int>(shape().capacity()),
                            .rows = as<OwnedRow>(received_rows_),
                            .num_rows = static_cast<int>(expected_.rows.size())});
}

}  // namespace llep
