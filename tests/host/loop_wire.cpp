// SPDX-License-Identifier: MIT
#include "tests/host/loop_wire.hpp"

#include <atomic>
#include <cstring>
#include <deque>
#include <map>
#include <random>

namespace llep {

namespace {

class LoopWire final : public ProxyWire {
 public:
  LoopWire(const FarHeap& heap, std::vector<std::byte*> peers, const LoopWireOptions& options)
      : heap_(heap), peers_(std::move(peers)), options_(options), random_(options.seed) {}

  std::size_t post(std::span<const Work> work) override {
    std::size_t taken = 0;
    for (; taken < work.size() && queued_ < options_.most_queued; ++taken, ++queued_) {
      const Descriptor& what = work[taken].what;
      if (broken_) {
        throw Error(ExitCode::kInternal,
                    "loop wire: the link to rank " + std::to_string(what.peer) + " is broken");
      }
      done_.push_back({.end = work[taken].end});
      channels_[{what.peer, what.channel}].push_back({what, &done_.back()});
    }
    return taken;
  }

  std::uint64_t progress() override {
    for (auto& [channel, queue] : channels_) {
      if (queue.empty() || random_() % 4 == 0) continue;
      for (std::size_t n = 1 + random_() % queue.size(); n > 0; --n) {
        carry_out(queue.front().what);
        queue.front().done->is_done = true;
        queue.pop_front();
        --queued_;
      }
    }
    if (random_() % 4 == 0) return completed_;
    while (!done_.empty() && done_.front().is_done) {
      completed_ = done_.front().end;
      done_.pop_front();
    }
    return completed_;
  }

  void break_link() override { broken_ = true; }

 private:
  struct Done {
    std::uint64_t end = 0;
    bool is_done = false;
  };
  struct Queued {
    Descriptor what;
    Done* done;  // deques keep elements where they are
  };

  void carry_out(const Descriptor& what) {
    std::byte* to = peers_[static_cast<std::size_t>(what.peer)] + what.to;
    if (what.kind == DescriptorKind::kPut) {
      std::memcpy(to, heap_.base + what.from, what.bytes);
    } else if (what.kind == DescriptorKind::kSignal) {
      store(to, what.from);
    } else {
      for (std::uint32_t at = 0; at < what.bytes; at += sizeof(std::uint64_t)) {
        auto& from = *reinterpret_cast<std::uint64_t*>(heap_.posted + what.from + at);
        store(to + at, std::atomic_ref(from).load(std::memory_order_relaxed));
      }
    }
  }
  static void store(std::byte* to, std::uint64_t value) {
    std::atomic_ref(*reinterpret_cast<std::uint64_t*>(to)).store(value, std::memory_order_release);
  }

  FarHeap heap_;
  std::vector<std::byte*> peers_;
  LoopWireOptions options_;
  std::mt19937_64 random_;
  std::map<std::pair<int, int>, std::deque<Queued>> channels_;
  std::deque<Done> done_;  // in the order posted
  std::size_t queued_ = 0;
  std::uint64_t completed_ = 0;
  bool broken_ = false;
};

}  // namespace

MakeProxyWires loop_wires(const LoopWireOptions& options) {
  return [options](Communicator& world, const FarHeap& heap, const ChannelMap& map) {
    const auto peers = gather_all(world, heap.base);
    ProxyWires made{.description = "loop", .stand_ins = {}};
    for (int p = 0; p < map.num_proxies; ++p) {
      LoopWireOptions own = options;
      own.seed += static_cast<std::uint64_t>(world.rank() * map.num_proxies + p);
      made.wires.push_back(std::make_unique<LoopWire>(heap, peers, own));
    }
    return made;
  };
}

}  // namespace llep
