// SPDX-License-Identifier: MIT
#include "common/thread_communicator.hpp"

#include <condition_variable>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include <fmt/format.h>

namespace llep {

struct ThreadWorld::State {
  explicit State(int num_ranks) : size(num_ranks), slots(static_cast<std::size_t>(num_ranks)) {}

  const int size;
  std::mutex mutex;
  std::condition_variable changed;
  int num_waiting = 0;
  std::uint64_t num_barriers = 0;  // completed so far
  std::string broken;              // why no further barrier can complete; empty: none yet
  std::vector<std::span<const std::byte>> slots;  // [size], what each rank gathers

  void barrier() {
    std::unique_lock lock(mutex);
    if (!broken.empty()) throw WorldBroken(broken);
    const std::uint64_t mine = num_barriers;
    if (++num_waiting == size) {
      num_waiting = 0;
      ++num_barriers;
      changed.notify_all();
      return;
    }
    changed.wait(lock, [&] { return num_barriers != mine || !broken.empty(); });
    // A rank that left after it had completed this barrier does not undo it.
    if (num_barriers == mine) throw WorldBroken(broken);
  }
};

namespace {

class ThreadCommunicator final : public Communicator {
 public:
  ThreadCommunicator(std::shared_ptr<ThreadWorld::State> state, int rank)
      : state_(std::move(state)), rank_(rank) {}

  int rank() const override { return rank_; }
  int size() const override { return state_->size; }
  void barrier() override { state_->barrier(); }
  void all_gather(std::span<const std::byte> mine, std::span<std::byte> all) override;
  [[noreturn]] void abort(ExitCode code) override { std::_Exit(static_cast<int>(code)); }

 private:
  std::shared_ptr<ThreadWorld::State> state_;
  int rank_;
};

void ThreadCommunicator::all_gather(std::span<const std::byte> mine, std::span<std::byte> all) {
  state_->slots[static_cast<std::size_t>(rank_)] = mine;
  barrier();
  bool fits = all.size() == mine.size() * state_->slots.size();
  for (const auto& slot : state_->slots) fits = fits && slot.size() == mine.size();
  std::byte* to = all.data();
  for (const auto& slot : state_->slots) {
    if (!fits || slot.empty()) break;
    std::memcpy(to, slot.data(), slot.size());
    to += slot.size();
  }
  barrier();  // the others have read `mine`: the caller may change it
  if (!fits) {
    throw Error(ExitCode::kInternal,
                fmt::format("all_gather: {} bytes into {} are not every rank's equal share of {}",
                            mine.size(), all.size(), size()));
  }
}

bool is_consequence(const std::exception_ptr& error) {
  try {
    std::rethrow_exception(error);
  } catch (const WorldBroken&) {
    return true;
  } catch (...) {
    return false;
  }
}

/// One rank's life: it never leaves the others waiting, however it ends.
std::exception_ptr run_rank(ThreadWorld& world, int rank,
                            const std::function<void(Communicator&)>& body) {
  try {
    const auto comm = world.rank(rank);
    body(*comm);
    world.leave(rank, "ended while others waited for it");
    return nullptr;
  } catch (const std::exception& error) {
    world.leave(rank, error.what());
    return std::current_exception();
  } catch (...) {
    world.leave(rank, "threw an exception that is no std::exception");
    return std::current_exception();
  }
}

}  // namespace

ThreadWorld::ThreadWorld(int size) {
  if (size < 1) throw Error(ExitCode::kInternal, fmt::format("ThreadWorld: {} ranks", size));
  state_ = std::make_shared<State>(size);
}

std::unique_ptr<Communicator> ThreadWorld::rank(int r) {
  if (r < 0 || r >= state_->size) {
    throw Error(ExitCode::kInternal, fmt::format("ThreadWorld: rank {} of {}", r, state_->size));
  }
  return std::make_unique<ThreadCommunicator>(state_, r);
}

void ThreadWorld::leave(int r, const std::string& why) {
  const std::lock_guard lock(state_->mutex);
  if (state_->broken.empty()) state_->broken = fmt::format("rank {} is gone: {}", r, why);
  state_->changed.notify_all();
}

void run_ranks(int size, const std::function<void(Communicator&)>& body) {
  ThreadWorld world(size);
  std::vector<std::exception_ptr> errors(static_cast<std::size_t>(size));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < size; ++rank) {
    auto& error = errors[static_cast<std::size_t>(rank)];
    threads.emplace_back([&world, &body, &error, rank] { error = run_rank(world, rank, body); });
  }
  for (auto& thread : threads) thread.join();

  std::exception_ptr consequence;
  for (const auto& error : errors) {
    if (!error) continue;
    if (!is_consequence(error)) std::rethrow_exception(error);
    if (!consequence) consequence = error;
  }
  if (consequence) std::rethrow_exception(consequence);
}

}  // namespace llep
