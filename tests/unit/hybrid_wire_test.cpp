// SPDX-License-Identifier: MIT
// What a hybrid wire does before it lets a far wire send: nobody may read a row that is not yet
// where it is sent from.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/unit/lone_warp.hpp"
#include "transport/hybrid/hybrid_wire.hpp"

namespace llep {
namespace {

using Log = std::vector<std::string>;

/// Says what is asked of it.
struct LoggingPipe {
  Log* log;

  template <class Warp, class F>
  void store_to(Warp& /*warp*/, int n, F to, std::uint32_t bytes, std::uint32_t /*first*/) {
    for (int i = 0; i < n; ++i) {
      if (to(i) != nullptr) log->push_back("store " + std::to_string(bytes));
    }
  }
  template <class Warp>
  void commit(Warp& warp) {
    warp.sync();
    log->push_back("commit");
  }
};

struct LoggingFar {
  Log* log = nullptr;
  std::byte* heap = nullptr;
  const std::byte* registered = nullptr;

  bool can_send_from(const std::byte* from, std::uint32_t /*bytes*/) const {
    return from == registered;
  }
  template <class Warp, class F>
  void put(Warp& warp, int n, F to, const std::byte* from, std::uint32_t bytes) const {
    warp.refuse_dirty("put");
    int far = 0;
    for (int i = 0; i < n; ++i) far += to(i).peer >= 0 ? 1 : 0;
    log->push_back("put " + std::to_string(bytes) + " to " + std::to_string(far) +
                   (from == registered  ? " in place"
                    : from == heap + 64 ? " from home"
                                        : " ?"));
  }
};

struct Rig {
  Log log;
  std::vector<std::byte> heap = std::vector<std::byte>(256);
  std::vector<std::byte> source = std::vector<std::byte>(64);
  LoneWarp lone;
  HybridWire<LoggingFar> wire{.near = {}, .far = {&log, heap.data(), nullptr}};

  Rig() { wire.near.bases[0] = heap.data(); }
  Log put(int last_peer) {
    LoggingPipe pipe{&log};
    wire.put(
        lone.warp(), pipe, last_peer + 1, [](int i) { return Destination{.peer = i}; },
        Staged{.bytes = 64, .home = 64, .from = source.data()});
    return log;
  }
};

TEST(HybridWire, a_row_is_committed_to_its_home_before_it_is_sent_from_there) {
  EXPECT_EQ(Rig().put(2), (Log{"store 64", "store 64", "commit", "put 64 to 2 from home"}));
}

TEST(HybridWire, a_row_that_can_be_sent_from_where_it_lies_is_not_copied) {
  Rig rig;
  rig.wire.far.registered = rig.source.data();
  EXPECT_EQ(rig.put(2), (Log{"store 64", "put 64 to 2 in place"}));
}

TEST(HybridWire, near_peers_alone_need_nothing_of_the_far_wire) {
  EXPECT_EQ(Rig().put(0), (Log{"store 64"}));
}

}  // namespace
}  // namespace llep
