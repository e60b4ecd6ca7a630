// SPDX-License-Identifier: MIT
#pragma once

#include <rdma/ib_user_ioctl_verbs.h>
#include <rdma/ib_user_verbs.h>

#include <cstdint>

#include "tests/softmlx5/completion_queue.hpp"
#include "tests/softmlx5/memory.hpp"
#include "tests/softmlx5/peer.hpp"
#include "tests/softmlx5/requester.hpp"
#include "tests/softmlx5/responder.hpp"

namespace softmlx5 {

/// What queue pairs share.
struct Services {
  Fabric& fabric;
  Peers& peers;
  MemoryRegions& regions;
};

/// A reliable connected queue pair: its attributes and state, and its two sides.
class QueuePair {
 public:
  struct Creation {
    const void* owner = nullptr;
    std::uint32_t handle = 0;
    std::uint32_t qpn = 0;
    std::uint32_t uidx = 0;
    std::uint32_t pd = 0;
    std::uint32_t uar_page = 0;
    int device = 0;
    bool signal_all = false;
    CompletionQueue* send_cq = nullptr;
    CompletionQueue* receive_cq = nullptr;
    SendQueue send;
    ReceiveQueue receive;
    volatile std::uint32_t* doorbell_record = nullptr;  // [0] receive, [1] send
    ib_uverbs_qp_cap cap = {};
  };
  QueuePair(const Creation& creation, const Services& services)
      : creation_(creation),
        services_(services),
        requester(*this, services),
        responder(*this, services) {}

  const Creation& created() const { return creation_; }
  std::uint32_t qpn() const { return creation_.qpn; }
  const ib_uverbs_modify_qp& attributes() const { return attributes_; }
  std::uint32_t state() const { return state_; }
  bool sends() const { return state_ == IBV_QPS_RTS; }
  bool awaits_answers() const { return state_ == IBV_QPS_RTS || state_ == IBV_QPS_SQD; }
  bool receives() const { return state_ == IBV_QPS_RTR || awaits_answers(); }
  /// Of the process it is connected to.
  int peer_slot() const { return slot_of(attributes_.dest_qp_num); }
  /// At the other end; -1: not addressed yet.
  int peer_device() const { return peer_device_; }

  /// An errno; 0: done.
  int modify(const ib_uverbs_modify_qp& change);
  ib_uverbs_query_qp_resp query() const;
  /// Ends everything under way in flush errors.
  void to_error();

  static int slot_of(std::uint32_t qpn) { return static_cast<int>(qpn >> 18 & 0x3f); }

 private:
  int address(const ib_uverbs_modify_qp& change);
  void set_attributes(const ib_uverbs_modify_qp& change);
  int to_state(std::uint32_t state);

  Creation creation_;
  const Services& services_;
  ib_uverbs_modify_qp attributes_ = {};
  std::uint32_t state_ = IBV_QPS_RESET;
  int peer_device_ = -1;

 public:
  static constexpr int kUnknownRegister = -1;
  int register_number = kUnknownRegister;  // of its page, where its doorbell was last seen
  Requester requester;
  Responder responder;
};

}  // namespace softmlx5
