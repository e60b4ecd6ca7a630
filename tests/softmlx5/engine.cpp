// SPDX-License-Identifier: MIT
#include "tests/softmlx5/engine.hpp"

#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <ctime>

#include "tests/softmlx5/adapter.hpp"
#include "tests/softmlx5/adversary.hpp"
#include "tests/softmlx5/clock.hpp"
#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace {

constexpr int kBurst = 64;  // records of one ring before it is another's turn
/// Passes without work after which it sleeps longer.
constexpr int kIdle = 100;
constexpr int kLongIdle = 1000;
constexpr int kSpunLongEnough = 200000;
constexpr int kMostSleepUs = 1000;
/// Measured with 2 to 8 processes on 2 cores (mesh_test): shorter sleeps starve the programs.
constexpr int kSleepUsPerProcess = 25;

void sleep_us(long us) {
  if (us == 0) return;
  const timespec time = {.tv_sec = 0, .tv_nsec = us * 1000};
  ::nanosleep(&time, nullptr);
}

/// Where cores are few, it must run soon after it wakes, not a time slice later.
void hurry() {
  ::prctl(PR_SET_TIMERSLACK, 1UL, 0, 0, 0);
  const sched_param realtime = {.sched_priority = 1};
  if (::pthread_setschedparam(::pthread_self(), SCHED_FIFO, &realtime) != 0) {
    ::setpriority(PRIO_PROCESS, static_cast<id_t>(::syscall(SYS_gettid)), -20);
  }
}

}  // namespace

bool Engine::start() {
  sigset_t all;
  sigset_t before;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &before);  // signals are the program's
  started_ = ::pthread_create(&thread_, nullptr, run_thread, this) == 0;
  ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return started_;
}

void Engine::stop() {
  if (!started_) return;
  stopping_ = true;
  ::pthread_join(thread_, nullptr);
  started_ = false;
}

void* Engine::run_thread(void* engine) {
  static_cast<Engine*>(engine)->run();
  return nullptr;
}

void Engine::run() {
  ::pthread_setname_np(::pthread_self(), "softmlx5");
  if (options().sleep_us != 0) hurry();
  for (int idle = 0; !stopping_;) {
    bool worked = false;
    {
      const std::lock_guard guard(adapter_.mutex);
      worked = pass();
    }
    idle = worked ? 0 : idle + 1;
    while (adapter_.waiting > 0 && !stopping_) sleep_us(1);
    if (worked) continue;
    sleep_us(idle_sleep_us(idle));
  }
}

int Engine::idle_sleep_us(int idle) const {
  const int wanted = options().sleep_us;
  if (wanted == 0) return idle > kSpunLongEnough ? kSleepUsPerProcess : 0;
  if (wanted != Options::kFitting) return wanted;
  const int fitting = kSleepUsPerProcess * adapter_.fabric.num_in_use();
  const int times = idle > kLongIdle ? 16 : idle > kIdle ? 4 : 1;
  return std::min(kMostSleepUs, fitting * times);
}

bool Engine::pass() {
  const std::uint64_t now = now_ns();
  bool worked = take_doorbells(now);
  worked |= serve_queue_pairs(now);
  Gpu::submit_all();
  worked |= serve_peers(now);
  worked |= serve_completion_queues(now);
  return worked;
}

/// Until none is new: a doorbell that rang before one that is served is served with it.
bool Engine::take_doorbells(std::uint64_t now) {
  bool any = false;
  for (bool again = true; again;) {
    again = false;
    for (DeviceFile& file : adapter_.files) {
      if (!file.is_open()) continue;
      again |= file.take_doorbells(
          [&](const DeviceFile::Doorbell& doorbell) { on_doorbell(file, doorbell, now); });
    }
    any |= again;
  }
  return any;
}

void Engine::on_doorbell(const DeviceFile& file, const DeviceFile::Doorbell& doorbell,
                         std::uint64_t now) {
  QueuePair* const named = adapter_.find_qp(doorbell.qpn);
  if (named != nullptr) {
    named->register_number = doorbell.number;
    named->requester.ring(now);
  } else {
    log_line("a doorbell of qp 0x{:06x}, which does not exist", doorbell.qpn);
  }
  // Queue pairs that share a register may have overwritten each other's doorbells before they were
  // seen here. Each wrote its doorbell record first.
  adapter_.qps.for_each([&](QueuePair& qp) {
    const bool shares = qp.created().owner == &file && qp.created().uar_page == doorbell.page &&
                        (qp.register_number == doorbell.number ||
                         qp.register_number == QueuePair::kUnknownRegister);
    if (shares && &qp != named && qp.requester.behind()) qp.requester.ring(now);
  });
}

bool Engine::serve_queue_pairs(std::uint64_t now) {
  order_.clear();
  adapter_.qps.for_each([&](const QueuePair& qp) { order_.push_back(qp.created().handle); });
  adversary().shuffle(order_);
  bool worked = false;
  for (const std::uint32_t handle : order_) worked |= serve_queue_pair(handle, now);
  return worked;
}

bool Engine::serve_queue_pair(std::uint32_t handle, std::uint64_t now) {
  QueuePair& qp = *adapter_.qps.find(handle);
  qp.responder.poll(now);
  const bool lost = qp.created().send_cq->overrun() || qp.created().receive_cq->overrun();
  if (qp.state() == IBV_QPS_ERR || lost) {
    qp.to_error();
    return false;
  }
  if (!qp.sends()) return false;
  if (const std::uint64_t time = adversary().pass_over_ns()) qp.requester.postpone(now + time);
  const bool worked = qp.requester.send(now);
  if (qp.sends()) qp.requester.check_silence(now);
  return worked;
}

bool Engine::serve_completion_queues(std::uint64_t now) {
  bool worked = false;
  adapter_.cqs.for_each([&](CompletionQueue& cq) { worked |= cq.poll(now); });
  return worked;
}

bool Engine::serve_peers(std::uint64_t now) {
  bool worked = false;
  for (int slot = 0; slot < kMaxSlots; ++slot) {
    if (!adapter_.fabric.in_use(slot)) continue;
    Peer& peer = adapter_.peers.at(slot);
    peer.requests_out.publish();
    peer.responses_out.publish();
    worked |= finish_requests(peer);
    worked |= take_responses(peer, now);
    worked |= take_requests(peer);
    Gpu::submit_all();
  }
  return worked;
}

bool Engine::finish_requests(Peer& peer) {
  bool worked = false;
  while (const Unfinished* finished = peer.next_finished()) {
    if (finished->answer) {
      if (peer.responses_out.reserve(0) == nullptr) break;
      if (QueuePair* qp = adapter_.find_qp(finished->message.to_qpn)) {
        qp->responder.finish(peer, *finished);
      }
    }
    peer.pop_finished();
    worked = true;
  }
  return worked;
}

bool Engine::take_responses(Peer& peer, std::uint64_t now) {
  int taken = 0;
  for (; taken < kBurst; ++taken) {
    const Message* response = peer.responses_in.peek();
    if (response == nullptr) break;
    if (QueuePair* qp = adapter_.find_qp(response->to_qpn)) {
      qp->requester.on_response(*response, now);
    }
    peer.responses_in.skip(*response);
    peer.responses_in.release(peer.responses_in.position());
  }
  return taken > 0;
}

bool Engine::take_requests(Peer& peer) {
  int taken = 0;
  for (; taken < kBurst; ++taken) {
    const Message* request = peer.requests_in.peek();
    if (request == nullptr || !on_request(peer, *request)) break;
    peer.consume(*request);
  }
  return taken > 0;
}

/// False: it must wait.
bool Engine::on_request(Peer& peer, const Message& request) {
  if (QueuePair* qp = adapter_.find_qp(request.to_qpn)) {
    return qp->responder.on_request(peer, request);
  }
  return !request.first || Responder::answer_for_nobody(peer, request);
}

Engine& engine() {
  static auto* const instance = new Engine(adapter());
  return *instance;
}

}  // namespace softmlx5
