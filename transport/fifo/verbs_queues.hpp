// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "transport/fifo/completed_prefix.hpp"
#include "transport/fifo/proxy_wire.hpp"
#include "transport/verbs/mesh.hpp"

namespace llep {

/// Work requests of one queue pair, in order. Only some ask for a completion, which then stands for
/// all before it: those since the last that asked are a group.
struct PostQueue {
  int peer = 0;
  int channel = 0;
  ibv_qp* qp = nullptr;
  std::uint64_t posted = 0;  // work requests, as `completed`
  std::uint64_t completed = 0;

  struct Group {
    std::uint64_t number = 0;  // of CompletedPrefix
    std::uint64_t end = 0;     // `posted` after its last work request
  };
  std::deque<Group> groups = {};  // not yet complete; the last may still be open
  std::uint64_t in_open_group = 0;

  ibv_send_wr* first = nullptr;  // of the batch under construction
  ibv_send_wr* last = nullptr;
};

/// The queue pairs and the completion queue of one proxy; make_verbs_wires says why the contract
/// holds.
class VerbsQueues final : public ProxyWire {
 public:
  VerbsQueues(std::shared_ptr<VerbsMesh> mesh, const VerbsOptions& options, const ChannelMap& map,
              int proxy);

  std::size_t post(std::span<const Work> work) override;
  std::uint64_t progress() override;
  void break_link() override;
  void signals_zeroed() override { written_.clear(); }

 private:
  bool add(const Work& work);
  PostQueue& queue_of(const Descriptor& what);
  bool has_room(const PostQueue& queue, std::uint64_t num_requests) const;
  void add_put(PostQueue& queue, const Descriptor& what);
  void add_signal(PostQueue& queue, const Descriptor& what);
  ibv_send_wr& append(PostQueue& queue, ibv_sge source);
  void end_group(PostQueue& queue);
  void post_batch();
  void reap(const ibv_wc& completion);
  std::uint64_t far_address(const Descriptor& what) const;

  std::shared_ptr<VerbsMesh> mesh_;
  bool atomic_signals_;
  std::uint64_t depth_;        // of a send queue, and work requests of a batch
  std::uint64_t group_size_;   // work requests at most
  std::uint64_t piece_bytes_;  // of one work request at most
  ibv_cq* cq_;
  AtomicResults results_;
  std::vector<PostQueue> queues_;
  std::vector<int> queue_index_;  // [num_ranks * channels_per_peer]; -1: none of this wire

  CompletedPrefix complete_;
  std::uint64_t end_ = 0;           // of the last work taken
  std::uint64_t num_expected_ = 0;  // completions that cq_ must have room for
  std::map<std::pair<int, std::uint64_t>, std::uint64_t> written_;  // [peer, offset] last signal

  // The batch under construction. The vectors never grow beyond depth_: elements hold pointers.
  std::vector<ibv_send_wr> requests_;
  std::vector<ibv_sge> sources_;
  std::vector<std::uint64_t> values_;
  std::vector<PostQueue*> touched_;
};

}  // namespace llep
