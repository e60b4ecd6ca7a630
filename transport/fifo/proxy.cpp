// SPDX-License-Identifier: MIT
#include "transport/fifo/proxy.hpp"

#include <pthread.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <ctime>

#include "common/placement.hpp"

namespace llep {

namespace {

constexpr std::size_t kMostPending = 256;
constexpr std::uint32_t kMostMerged = 1U << 30;  // bytes of a put; MPI counts in ints
constexpr std::size_t kMostLookedBack = 16;  // for a put that the next one goes on from
constexpr std::size_t kLineBytes = 128;      // between counters that different warps count

std::uint64_t now_ns() {
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch() /
                                    std::chrono::nanoseconds(1));
}

/// 0: its thread has ended.
std::uint64_t cpu_ns(clockid_t clock) {
  std::timespec time = {};
  clock_gettime(clock, &time);
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(time.tv_nsec);
}

void store_release(std::uint64_t& word, std::uint64_t value) {
  std::atomic_ref(word).store(value, std::memory_order_release);
}

/// The words of the slot, once all are of that lap.
inline bool load_slot(Slot& slot, std::uint64_t lap, Slot& to) {
  const std::uint64_t valid = lap_bit(lap);
  to.word[0] = std::atomic_ref(slot.word[0]).load(std::memory_order_acquire);
  std::uint64_t wrong = to.word[0] ^ valid;
  for (int i = 1; i < 4; ++i) {
    to.word[i] = std::atomic_ref(slot.word[i]).load(std::memory_order_relaxed);
    wrong |= to.word[i] ^ valid;
  }
  return (wrong & kLapBit) == 0;
}

}  // namespace

Proxy::Proxy(Device& device, const ProxyOptions& options, std::unique_ptr<ProxyWire> wire)
    : device_(device),
      options_(options),
      wire_(std::move(wire)),
      slots_(device.allocate_pinned(options.depth * sizeof(Slot))),
      words_(device.allocate_pinned(2 * sizeof(HostWord))),
      counts_(device.allocate(3 * kLineBytes)),
      traffic_(static_cast<std::size_t>(options.num_ranks)),
      started_ns_(now_ns()),
      thread_([this] { run(); }) {}

Proxy::~Proxy() {
  stop_.store(true);
  thread_.join();
}

FifoRing Proxy::ring() const {
  auto* host = reinterpret_cast<HostWord*>(words_.get());
  const auto count = [&](std::size_t i) {
    return reinterpret_cast<std::uint64_t*>(counts_.get() + i * kLineBytes);
  };
  return {.slots = reinterpret_cast<Slot*>(slots_.get()),
          .tail = &host[0].value,
          .completed = &host[1].value,
          .head = count(0),
          .seen_tail = count(1),
          .asking = count(2),
          .depth_log2 = static_cast<std::uint32_t>(std::countr_zero(options_.depth))};
}

std::string Proxy::place() const {
  if (options_.pci_bus_id.empty()) return {};
  const Placement placement = bind_thread_near_pci(options_.pci_bus_id, "proxies");
  return placement.reason + " (cpus " + placement.cpuset + ")";
}

void Proxy::run() {
  // An idle thread gives its core away after a while; where there are fewer cores than threads at
  // once, and it naps, so that the scheduler does not go round among idle threads alone.
  const int spins = options_.naps ? 0 : 4096;
  constexpr int kYields = 64;
  constexpr auto kNap = std::chrono::microseconds(50);
  pthread_setname_np(pthread_self(), ("llep-proxy-" + std::to_string(options_.index)).c_str());
  placement_.set_value(place());
  try {
    device_.use_here();
    int idle = 0;
    while (!stop_.load(std::memory_order_relaxed)) {
      idle = !stalled_.load(std::memory_order_relaxed) && step() ? 0 : idle + 1;
      if (idle <= spins) continue;
      if (options_.naps && idle > kYields) {
        std::this_thread::sleep_for(kNap);
      } else {
        std::this_thread::yield();
      }
    }
  } catch (const std::exception& error) {
    fail(error.what());
  }
  last_cpu_ns_.store(cpu_ns(CLOCK_THREAD_CPUTIME_ID));
}

bool Proxy::step() {
  if (break_link_.exchange(false, std::memory_order_relaxed)) wire_->break_link();
  const bool read = read_ring();
  const bool posted = post();
  return publish_completed() || read || posted;
}

/// Tells the pushers every now and then: on a full ring they go on while it reads.
bool Proxy::read_ring() {
  constexpr std::uint64_t kReadsPerTail = 64;
  auto* const slots = reinterpret_cast<Slot*>(slots_.get());
  auto& tail = reinterpret_cast<HostWord*>(words_.get())[0].value;
  const std::uint64_t depth = options_.depth;
  const int depth_log2 = std::countr_zero(depth);
  const std::uint64_t first = position_;
  bool more = true;
  while (more && position_ - first < depth) {
    const std::uint64_t begin = position_;
    const std::uint64_t end = begin + std::min(kReadsPerTail, depth);
    Slot slot;
    while (position_ < end && pending_.size() < kMostPending &&
           load_slot(slots[position_ & (depth - 1)], position_ >> depth_log2, slot)) {
      ++position_;
      if (kind_of(slot) != DescriptorKind::kFlush) take(decode(slot));
    }
    if (position_ != begin) store_release(tail, position_);
    more = position_ == end;
  }
  return position_ != first;
}

void Proxy::take(const Descriptor& what) {
  if (what.peer < 0 || what.peer >= options_.num_ranks) {
    throw Error(ExitCode::kInternal, "fifo: a descriptor names peer " +
                                         std::to_string(what.peer) + " of " +
                                         std::to_string(options_.num_ranks) + " ranks");
  }
  Counters& traffic = traffic_[static_cast<std::size_t>(what.peer)];
  const bool signals = what.kind == DescriptorKind::kSignal;
  (signals ? traffic.signals : traffic.puts).fetch_add(1, std::memory_order_relaxed);
  traffic.bytes.fetch_add(what.bytes, std::memory_order_relaxed);
  if (merge(what)) {
    pending_.back().end = position_;
  } else {
    pending_.push_back({.what = what, .end = position_});
  }
}

/// Lets the channel's last work, if that is a put which this one goes on from, do both.
bool Proxy::merge(const Descriptor& what) {
  if (what.kind != DescriptorKind::kPut) return false;
  const auto last = pending_.rbegin() + static_cast<std::ptrdiff_t>(
                                            std::min(pending_.size(), kMostLookedBack));
  const auto found = std::find_if(pending_.rbegin(), last, [&](const Work& work) {
    return work.what.peer == what.peer && work.what.channel == what.channel;
  });
  if (found == last) return false;
  Descriptor& put = found->what;
  if (put.kind != DescriptorKind::kPut || put.to + put.bytes != what.to ||
      put.from + put.bytes != what.from || put.bytes + what.bytes > kMostMerged) {
    return false;
  }
  put.bytes += what.bytes;
  return true;
}

bool Proxy::post() {
  if (pending_.empty()) return false;
  const std::size_t taken = wire_->post(pending_);
  if (taken == 0) return false;
  posted_ = pending_[taken - 1].end;
  pending_.erase(pending_.begin(), pending_.begin() + static_cast<std::ptrdiff_t>(taken));
  return true;
}

bool Proxy::publish_completed() {
  const std::uint64_t done = wire_->progress();
  // Flushes are no work: they are complete with all work before them.
  const bool all = done == posted_ && pending_.empty();
  const std::uint64_t completed = all ? position_ : done;
  if (completed == completed_) return false;
  completed_ = completed;
  store_release(reinterpret_cast<HostWord*>(words_.get())[1].value, completed);
  return true;
}

void Proxy::fail(const std::string& message) {
  {
    const std::lock_guard lock(failure_mutex_);
    failure_ = message;
  }
  device_.give_up();
}

std::optional<std::string> Proxy::failure() const {
  const std::lock_guard lock(failure_mutex_);
  return failure_;
}

std::uint64_t Proxy::pushed() const {
  std::uint64_t head = 0;
  device_.copy(&head, ring().head, sizeof head);
  return head;
}

std::string Proxy::state() const {
  const FifoRing view = ring();
  const auto load = [](const std::uint64_t* word) {
    return std::to_string(
        std::atomic_ref(const_cast<std::uint64_t&>(*word)).load(std::memory_order_acquire));
  };
  return "proxy " + std::to_string(options_.index) + " has read " + load(view.tail) + " of " +
         std::to_string(pushed()) + " descriptors, " + load(view.completed) + " are complete";
}

ProxyTraffic Proxy::traffic(int peer) const {
  const Counters& counters = traffic_[static_cast<std::size_t>(peer)];
  return {.bytes = counters.bytes.load(std::memory_order_relaxed),
          .puts = counters.puts.load(std::memory_order_relaxed),
          .signals = counters.signals.load(std::memory_order_relaxed)};
}

double Proxy::cpu_share() {
  clockid_t clock = {};
  const bool known = pthread_getcpuclockid(thread_.native_handle(), &clock) == 0;
  const std::uint64_t used = std::max(known ? cpu_ns(clock) : 0, last_cpu_ns_.load());
  return static_cast<double>(used) /
         static_cast<double>(std::max<std::uint64_t>(now_ns() - started_ns_, 1));
}

}  // namespace llep
