// SPDX-License-Identifier: MIT
#include "transport/fifo/verbs_queues.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "transport/verbs/completion.hpp"

namespace llep {

VerbsQueues::VerbsQueues(std::shared_ptr<VerbsMesh> mesh, const VerbsOptions& options,
                         const ChannelMap& map, int proxy)
    : mesh_(std::move(mesh)),
      atomic_signals_(options.atomic_signals()),
      depth_(static_cast<std::uint64_t>(options.send_depth)),
      group_size_(std::max<std::uint64_t>(1, depth_ / 4)),
      piece_bytes_(mesh_->most_message_bytes),
      cq_(mesh_->cqs[static_cast<std::size_t>(proxy)].get()) {
  for (int peer = 0; peer < map.num_ranks; ++peer) {
    for (int channel = 0; channel < map.channels_per_peer; ++channel) {
      ibv_qp* qp = map.proxy_of(peer, channel) == proxy ? mesh_->qp(peer, channel) : nullptr;
      queue_index_.push_back(qp == nullptr ? -1 : static_cast<int>(queues_.size()));
      if (qp != nullptr) queues_.push_back({.peer = peer, .channel = channel, .qp = qp});
    }
  }
  if (atomic_signals_) results_ = make_atomic_results(mesh_->device.pd.get());
  requests_.reserve(depth_);
  sources_.reserve(depth_);
  values_.reserve(depth_);
}

std::size_t VerbsQueues::post(std::span<const Work> work) {
  std::size_t taken = 0;
  while (taken < work.size() && add(work[taken])) ++taken;
  post_batch();
  return taken;
}

/// Into the batch; false: a queue is full.
bool VerbsQueues::add(const Work& work) {
  const Descriptor& what = work.what;
  if (what.kind == DescriptorKind::kSignal) {
    PostQueue& queue = queue_of(what);
    if (!has_room(queue, 1)) return false;
    add_signal(queue, what);
  } else if (what.kind != DescriptorKind::kFlush) {
    PostQueue& queue = queue_of(what);
    if (!has_room(queue, (what.bytes + piece_bytes_ - 1) / piece_bytes_)) return false;
    add_put(queue, what);
  }
  end_ = work.end;
  return true;
}

PostQueue& VerbsQueues::queue_of(const Descriptor& what) {
  const auto i = static_cast<std::size_t>(what.peer * mesh_->channels_per_peer + what.channel);
  if (i >= queue_index_.size() || queue_index_[i] < 0) {
    throw Error(ExitCode::kInternal,
                fmt::format("verbs: work for rank {} channel {} came to a proxy that has no queue "
                            "pair for it",
                            what.peer, what.channel));
  }
  return queues_[static_cast<std::size_t>(queue_index_[i])];
}

bool VerbsQueues::has_room(const PostQueue& queue, std::uint64_t num_requests) const {
  if (num_requests > depth_) {
    throw Error(ExitCode::kInternal,
                fmt::format("verbs: one put takes {} work requests of {} bytes, a send queue holds "
                            "{}",
                            num_requests, piece_bytes_, depth_));
  }
  const std::uint64_t groups = num_requests / group_size_ + 2;
  return queue.posted - queue.completed + num_requests <= depth_ &&
         requests_.size() + num_requests <= depth_ &&
         num_expected_ + groups <= static_cast<std::uint64_t>(mesh_->cq_entries);
}

void VerbsQueues::add_put(PostQueue& queue, const Descriptor& what) {
  for (std::uint64_t at = 0; at < what.bytes; at += piece_bytes_) {
    ibv_send_wr& request = append(
        queue, {.addr = mesh_->heap.address + what.from + at,
                .length = static_cast<std::uint32_t>(std::min(piece_bytes_, what.bytes - at)),
                .lkey = mesh_->heap.mr.get()->lkey});
    request.opcode = IBV_WR_RDMA_WRITE;
    request.wr.rdma.remote_addr = far_address(what) + at;
    request.wr.rdma.rkey = mesh_->ranks[static_cast<std::size_t>(what.peer)].heap_rkey;
  }
}

void VerbsQueues::add_signal(PostQueue& queue, const Descriptor& what) {
  const std::uint32_t rkey = mesh_->ranks[static_cast<std::size_t>(what.peer)].heap_rkey;
  if (atomic_signals_) {
    std::uint64_t& last = written_[{what.peer, what.to}];
    ibv_send_wr& request =
        append(queue, {.addr = reinterpret_cast<std::uint64_t>(results_.word.get()),
                       .length = sizeof last,
                       .lkey = results_.mr.get()->lkey});
    request.opcode = IBV_WR_ATOMIC_FETCH_AND_ADD;
    request.wr.atomic.remote_addr = far_address(what);
    request.wr.atomic.rkey = rkey;
    request.wr.atomic.compare_add = what.from - last;
    last = what.from;
    return;
  }
  values_.push_back(what.from);
  ibv_send_wr& request = append(queue, {.addr = reinterpret_cast<std::uint64_t>(&values_.back()),
                                        .length = sizeof what.from,
                                        .lkey = 0});
  request.opcode = IBV_WR_RDMA_WRITE;
  request.send_flags |= IBV_SEND_INLINE;
  request.wr.rdma.remote_addr = far_address(what);
  request.wr.rdma.rkey = rkey;
}

ibv_send_wr& VerbsQueues::append(PostQueue& queue, ibv_sge source) {
  if (queue.in_open_group == 0) {
    queue.groups.push_back({.number = complete_.open(end_)});
    ++num_expected_;
  }
  sources_.push_back(source);
  ibv_send_wr& request = requests_.emplace_back();
  request.wr_id = static_cast<std::uint64_t>(&queue - queues_.data());
  request.sg_list = &sources_.back();
  request.num_sge = 1;
  if (queue.first == nullptr) {
    queue.first = &request;
    touched_.push_back(&queue);
  } else {
    queue.last->next = &request;
  }
  queue.last = &request;
  ++queue.posted;
  if (++queue.in_open_group == group_size_) end_group(queue);
  return request;
}

void VerbsQueues::end_group(PostQueue& queue) {
  queue.last->send_flags |= IBV_SEND_SIGNALED;
  queue.groups.back().end = queue.posted;
  queue.in_open_group = 0;
}

/// One list of work requests, and with it one doorbell, for each queue pair.
void VerbsQueues::post_batch() {
  for (PostQueue* queue : touched_) {
    if (queue->in_open_group != 0) end_group(*queue);
    ibv_send_wr* refused = nullptr;
    const int error = ibv_post_send(queue->qp, queue->first, &refused);
    if (error != 0) {
      throw Error(ExitCode::kInternal,
                  fmt::format("verbs: posting work for rank {} on {}: {}", queue->peer,
                              mesh_->device.name, std::strerror(error)));
    }
    queue->first = nullptr;
  }
  touched_.clear();
  requests_.clear();
  sources_.clear();
  values_.clear();
}

std::uint64_t VerbsQueues::progress() {
  std::array<ibv_wc, 32> completions;
  for (int count = 32; count == 32;) {
    count = ibv_poll_cq(cq_, static_cast<int>(completions.size()), completions.data());
    if (count < 0) {
      throw Error(ExitCode::kInternal,
                  "verbs: reading the completion queue of " + mesh_->device.name + " failed");
    }
    for (int i = 0; i < count; ++i) reap(completions[static_cast<std::size_t>(i)]);
  }
  return complete_.position(end_);
}

void VerbsQueues::reap(const ibv_wc& completion) {
  PostQueue& queue = queues_[completion.wr_id];
  if (completion.status != IBV_WC_SUCCESS) {
    throw Error(ExitCode::kInternal,
                fmt::format("verbs: writing to rank {} over {} (queue pair {:#x}, channel {}): {}",
                            queue.peer, mesh_->device.description(), completion.qp_num,
                            queue.channel, describe_failure(completion)));
  }
  const PostQueue::Group group = queue.groups.front();
  queue.groups.pop_front();
  queue.completed = group.end;
  --num_expected_;
  complete_.complete(group.number);
}

void VerbsQueues::break_link() {
  for (const PostQueue& queue : queues_) end_qp(queue.qp);
}

std::uint64_t VerbsQueues::far_address(const Descriptor& what) const {
  return mesh_->ranks[static_cast<std::size_t>(what.peer)].heap_address + what.to;
}

}  // namespace llep
