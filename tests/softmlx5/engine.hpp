// SPDX-License-Identifier: MIT
#pragma once

#include <pthread.h>

#include <atomic>
#include <cstdint>
#include <vector>

#include "tests/softmlx5/device_file.hpp"

namespace softmlx5 {

class Adapter;
class Peer;
struct Message;

/// The adapter's clockwork: a thread that serves doorbells, sends, answers and completes.
class Engine {
 public:
  explicit Engine(Adapter& adapter) : adapter_(adapter) {}

  bool start();
  void stop();
  bool is_current_thread() const { return started_ && pthread_equal(thread_, pthread_self()) != 0; }

 private:
  static void* run_thread(void* engine);
  void run();
  int idle_sleep_us(int idle) const;
  /// True: there was something to do.
  bool pass();
  bool take_doorbells(std::uint64_t now);
  void on_doorbell(const DeviceFile& file, const DeviceFile::Doorbell& doorbell, std::uint64_t now);
  bool serve_queue_pairs(std::uint64_t now);
  bool serve_queue_pair(std::uint32_t handle, std::uint64_t now);
  bool serve_peers(std::uint64_t now);
  bool finish_requests(Peer& peer);
  bool take_responses(Peer& peer, std::uint64_t now);
  bool take_requests(Peer& peer);
  bool on_request(Peer& peer, const Message& request);
  bool serve_completion_queues(std::uint64_t now);

  Adapter& adapter_;
  pthread_t thread_ = {};
  std::atomic<bool> started_{false};
  std::atomic<bool> stopping_{false};
  std::vector<std::uint32_t> order_;
};

Engine& engine();

}  // namespace softmlx5
