// SPDX-License-Identifier: MIT
#include "tests/host/proxy_wire_contract.hpp"

#include <atomic>
#include <chrono>
#include <random>
#include <thread>

#include <gtest/gtest.h>

#include "common/exec/host_device.hpp"

namespace llep {
namespace {

using namespace std::chrono_literals;

constexpr int kChannels = 3;
constexpr int kProxies = 2;
constexpr std::uint64_t kMessages = 16;  // of each channel
// Large, so that it takes time: between two guests (in one, soft-RoCE carries everything out while
// it is posted) rows are under way while their signals and the next rows are posted.
constexpr std::uint64_t kRowBytes = 48 * 1024 + 24;
constexpr std::uint64_t kWordBytes = 24;  // the last ones of a row, sent as kWords
constexpr std::uint64_t kSources = 12;    // rows under way of each proxy

/// The heap: rows to send, then for each source rank and channel all rows, then the signal words.
struct Places {
  int num_ranks;

  std::uint64_t source(int proxy, std::uint64_t i) const {
    return (static_cast<std::uint64_t>(proxy) * kSources + i) * kRowBytes;
  }
  std::uint64_t index(int rank, int channel) const {
    return static_cast<std::uint64_t>(rank * kChannels + channel);
  }
  std::uint64_t row(int rank, int channel, std::uint64_t message) const {
    return source(kProxies, 0) + (index(rank, channel) * kMessages + message - 1) * kRowBytes;
  }
  std::uint64_t signal(int rank, int channel) const {
    return row(num_ranks, 0, 1) + index(rank, channel) * 8;
  }
  std::uint64_t bytes() const { return signal(num_ranks, 0); }
};

std::uint64_t word_of(int rank, int channel, std::uint64_t message, std::uint64_t i) {
  return (message * 1'000'003 + i) * 1'000'003 + static_cast<std::uint64_t>(rank * 64 + channel);
}

struct Party {
  int rank;
  Places places;
  FarHeap heap;
  ChannelMap map;

  std::uint64_t& signal(int source, int channel) const {
    return *reinterpret_cast<std::uint64_t*>(heap.words + places.signal(source, channel));
  }
  /// Word i of the row at that offset.
  std::uint64_t& word(std::uint64_t row, std::uint64_t i) const {
    std::byte* memory = i < (kRowBytes - kWordBytes) / 8 ? heap.base : heap.words;
    return *reinterpret_cast<std::uint64_t*>(memory + row + i * 8);
  }
};

/// A proxy: sends all messages of its channels in random order, each row in pieces of random size.
class Sender {
 public:
  Sender(const Party& party, ProxyWire& wire, int proxy)
      : party_(party), wire_(wire), proxy_(proxy) {}

  void run(const std::atomic<bool>& all_received) {
    std::mt19937 random(static_cast<unsigned>(party_.rank * kProxies + proxy_));
    std::vector<Channel> channels = own_channels();
    while (!channels.empty()) {
      const std::size_t i = random() % channels.size();
      send(channels[i], random);
      if (++channels[i].message > kMessages) {
        channels.erase(channels.begin() + static_cast<std::ptrdiff_t>(i));
      }
    }
    wait_for(end_);
    while (!all_received) {  // peers may need this proxy still
      wire_.progress();
      std::this_thread::yield();
    }
  }

 private:
  struct Channel {
    int peer = 0;
    int number = 0;
    std::uint64_t message = 1;
  };

  std::vector<Channel> own_channels() const {
    std::vector<Channel> own;
    for (int peer = 0; peer < party_.map.num_ranks; ++peer) {
      for (int number = 0; peer != party_.rank && number < kChannels; ++number) {
        if (party_.map.proxy_of(peer, number) == proxy_) own.push_back({peer, number});
      }
    }
    return own;
  }

  void send(const Channel& channel, std::mt19937& random) {
    const std::uint64_t i = num_sent_++ % kSources;
    wait_for(source_ends_[i]);  // only then may the source be overwritten
    const std::uint64_t from = party_.places.source(proxy_, i);
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) {
      party_.word(from, w) = word_of(party_.rank, channel.number, channel.message, w);
    }
    const std::uint64_t to = party_.places.row(party_.rank, channel.number, channel.message);
    const std::uint64_t put_bytes = kRowBytes - kWordBytes;
    const std::uint64_t cut = 8 * (1 + random() % (put_bytes / 8 - 1));
    std::vector<Work> work;
    add(work, channel,
        {.kind = DescriptorKind::kPut,
         .bytes = static_cast<std::uint32_t>(cut),
         .to = to,
         .from = from});
    add(work, channel,
        {.kind = DescriptorKind::kPut,
         .bytes = static_cast<std::uint32_t>(put_bytes - cut),
         .to = to + cut,
         .from = from + cut});
    add(work, channel,
        {.kind = DescriptorKind::kWords,
         .bytes = kWordBytes,
         .to = to + put_bytes,
         .from = from + put_bytes});
    add(work, channel,
        {.kind = DescriptorKind::kSignal,
         .to = party_.places.signal(party_.rank, channel.number),
         .from = channel.message});
    source_ends_[i] = end_;
    post(work);
  }

  void add(std::vector<Work>& work, const Channel& channel, Descriptor what) {
    what.peer = channel.peer;
    what.channel = channel.number;
    work.push_back({.what = what, .end = ++end_});
  }

  void post(std::span<const Work> work) {
    while (!work.empty()) {
      work = work.subspan(wire_.post(work));
      wire_.progress();
    }
  }

  void wait_for(std::uint64_t end) {
    while (completed_ < end) {
      const std::uint64_t now = wire_.progress();
      EXPECT_GE(now, completed_);
      EXPECT_LE(now, end_);
      completed_ = now;
      std::this_thread::yield();
    }
  }

  const Party& party_;
  ProxyWire& wire_;
  int proxy_;
  std::uint64_t num_sent_ = 0;
  std::uint64_t source_ends_[kSources] = {};
  std::uint64_t end_ = 0;
  std::uint64_t completed_ = 0;
};

/// Looks at one channel's signal; counts wrong words of all rows that it promises.
std::uint64_t receive(const Party& party, int source, int channel, std::uint64_t& received) {
  const std::uint64_t now =
      std::atomic_ref(party.signal(source, channel)).load(std::memory_order_acquire);
  EXPECT_GE(now, received);
  std::uint64_t wrong = 0;
  while (received < now) {
    const std::uint64_t row = party.places.row(source, channel, ++received);
    for (std::uint64_t w = 0; w < kRowBytes / 8; ++w) {
      wrong += party.word(row, w) != word_of(source, channel, received, w) ? 1 : 0;
    }
  }
  return wrong;
}

void receive_all(const Party& party) {
  std::vector<std::uint64_t> received(
      static_cast<std::size_t>(party.places.index(party.map.num_ranks, 0)), 0);
  const std::uint64_t expected =
      static_cast<std::uint64_t>((party.map.num_ranks - 1) * kChannels) * kMessages;
  const auto deadline = std::chrono::steady_clock::now() + 120s;
  for (std::uint64_t total = 0; total < expected;) {
    total = 0;
    for (int source = 0; source < party.map.num_ranks; ++source) {
      for (int channel = 0; source != party.rank && channel < kChannels; ++channel) {
        auto& count = received[party.places.index(source, channel)];
        EXPECT_EQ(receive(party, source, channel, count), 0U)
            << "from rank " << source << " channel " << channel << " up to message " << count;
        total += count;
      }
    }
    if (std::chrono::steady_clock::now() > deadline) {
      ADD_FAILURE() << "only " << total << " of " << expected << " messages in 120 s";
      return;
    }
    std::this_thread::yield();
  }
}

}  // namespace

void check_proxy_wire(Communicator& world, const MakeProxyWires& make, bool words_apart) {
  HostDevice device(world.rank(), {.num_blocks = 1, .warps_per_block = 1});
  const Places places{.num_ranks = world.size()};
  const Memory memory = device.allocate(places.bytes());
  const Memory words = device.allocate(places.bytes());
  const Party party{
      .rank = world.rank(),
      .places = places,
      .heap = {.base = memory.get(),
               .posted = words_apart ? words.get() : memory.get(),
               .words = words_apart ? words.get() : memory.get(),
               .bytes = places.bytes(),
               .device = &device},
      .map = {.num_ranks = world.size(), .channels_per_peer = kChannels, .num_proxies = kProxies}};
  ProxyWires made = make(world, party.heap, party.map);
  std::atomic<bool> all_received = false;
  std::vector<std::jthread> proxies;
  for (int p = 0; p < kProxies; ++p) {
    proxies.emplace_back([&, p] {
      try {
        Sender(party, *made.wires[static_cast<std::size_t>(p)], p).run(all_received);
      } catch (const std::exception& error) {
        ADD_FAILURE() << "proxy " << p << ": " << error.what();
      }
    });
  }
  receive_all(party);
  world.barrier();
  all_received = true;
  proxies.clear();
  world.barrier();
}

}  // namespace llep
