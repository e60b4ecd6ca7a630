// SPDX-License-Identifier: MIT
#include "tests/unit/fake_adapter.hpp"

#include <cstring>
#include <string>

namespace llep {

namespace {

constexpr std::uint64_t kAsks = 0x08;
constexpr std::uint32_t kFirstQpn = 0x100;
constexpr std::size_t kCqeWords = kCqeBytes / sizeof(std::uint64_t);

template <class T>
T load(const T& word) {
  return std::atomic_ref(const_cast<T&>(word)).load(std::memory_order_acquire);
}

}  // namespace

FakeAdapter::FakeAdapter(const FakeAdapterOptions& options) : options_(options) {
  table_.resize(static_cast<std::size_t>(options.num_queues));
  for (int i = 0; i < options.num_queues; ++i) add_queue(i);
}

FakeAdapter::~FakeAdapter() { stop(); }

void FakeAdapter::add_queue(int i) {
  auto& q = *queues_.emplace_back(std::make_unique<Queue>());
  q.ring.resize((std::size_t{1} << options_.ring_log2) * 4);
  q.marks.resize(std::size_t{1} << options_.depth_log2);
  q.cqes.resize((std::size_t{1} << options_.depth_log2) * kCqeWords, ~std::uint64_t{0});
  const std::size_t next = static_cast<std::size_t>(i + 1) % table_.size();
  const bool shared = options_.shared_register;
  table_[static_cast<std::size_t>(i)] =
      SendQueue{.entries = q.ring.data(),
                .marks = q.marks.data(),
                .record = &q.records[1],
                .doorbell = shared ? &queues_.front()->own_register : &q.own_register,
                .cqes = reinterpret_cast<const std::byte*>(q.cqes.data()),
                .cq_record = &q.cq_records[0],
                .state = &q.state,
                .lock = shared ? &queues_.front()->state.ringing : &q.state.ringing,
                .next = &table_[shared ? next : static_cast<std::size_t>(i)],
                .rkey = 7,
                .qpn = kFirstQpn + static_cast<std::uint32_t>(i),
                .peer = i + 1,
                .depth_log2 = options_.depth_log2,
                .ring_log2 = options_.ring_log2,
                .cqe_log2 = options_.depth_log2};
}

void FakeAdapter::start() {
  stop_ = false;
  thread_ = std::thread([this] { run(); });
}

void FakeAdapter::stop() {
  stop_ = true;
  if (thread_.joinable()) thread_.join();
}

void FakeAdapter::run() {
  for (bool last = false; !last;) {
    last = stop_;
    bool busy = false;
    for (int i = 0; i < options_.num_queues; ++i) busy = look(i) || busy;
    if (!busy) std::this_thread::yield();
  }
}

/// A register that several queues share wakes them all.
bool FakeAdapter::look(int i) {
  Queue& q = at(i);
  const std::uint64_t value = load(*queue(i).doorbell);
  if (value == q.seen_register) return false;
  q.seen_register = value;
  ++num_doorbells_;
  if (load(q.records[0]) != 0) complaint_ = "the receive record was written";
  const auto record = static_cast<std::uint16_t>(big_endian(load(q.records[1])));
  const std::uint64_t end = extend(q.position, record);
  const auto rung = static_cast<std::uint16_t>(big_endian(static_cast<std::uint32_t>(value)) >> 8);
  const bool mine = big_endian(static_cast<std::uint32_t>(value >> 32)) >> 8 == queue(i).qpn;
  if (mine && static_cast<std::int16_t>(record - static_cast<std::uint16_t>(rung + 1)) < 0) {
    complaint_ = "the register was written before the record";
  }
  while (q.position != end) carry_out(i);
  return true;
}

void FakeAdapter::carry_out(int i) {
  Queue& q = at(i);
  const Vec16* segment = &q.ring[(q.position & ((1U << options_.ring_log2) - 1)) * 4];
  const std::uint32_t first = big_endian(segment[0].word[0]);
  HeardEntry entry{.position = q.position,
                   .opcode = first & 0xff,
                   .asks = (segment[0].word[2] >> 24 & kAsks) != 0};
  if (static_cast<std::uint16_t>(first >> 8) != static_cast<std::uint16_t>(q.position)) {
    complaint_ = "entry " + std::to_string(q.position) + " holds another one's index";
  }
  if (big_endian(segment[0].word[1]) >> 8 != queue(i).qpn)
    complaint_ = "another queue pair's entry";
  if (entry.opcode != 0) {
    entry.address = static_cast<std::uint64_t>(big_endian(segment[1].word[0])) << 32 |
                    big_endian(segment[1].word[1]);
    entry.bytes = big_endian(segment[2].word[0]) & 0x7fffffffU;
    std::memcpy(&entry.value, &segment[2].word[1], sizeof entry.value);
  }
  q.heard.push_back(entry);
  ++q.position;
  if (entry.asks || q.syndrome != 0) complete(q, entry);
}

void FakeAdapter::complete(Queue& q, const HeardEntry& entry) {
  const std::uint64_t taken = big_endian(load(q.cq_records[0]));
  if (q.completions - taken >= (std::uint64_t{1} << options_.depth_log2)) {
    complaint_ = "the completion queue overflowed";
  }
  const std::size_t mask = (std::size_t{1} << options_.depth_log2) - 1;
  std::uint64_t* cqe = &q.cqes[(q.completions & mask) * kCqeWords];
  const std::uint8_t syndrome = q.syndrome;
  const std::uint64_t owner = q.completions >> options_.depth_log2 & 1;
  const std::uint64_t kind = syndrome == 0 ? 0 : 13;
  const auto counter = static_cast<std::uint64_t>(entry.position & 0xffff);
  cqe[6] = static_cast<std::uint64_t>(syndrome) << 56 | std::uint64_t{0x88} << 48;
  const std::uint64_t tail =
      (kind << 4 | owner) << 56 | (counter & 0xff) << 40 | (counter >> 8) << 32 | entry.opcode;
  std::atomic_ref(cqe[7]).store(tail, std::memory_order_release);
  ++q.completions;
}

}  // namespace llep
