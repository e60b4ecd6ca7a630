// SPDX-License-Identifier: MIT
#include "tests/softmlx5/fabric.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "tests/softmlx5/folder.hpp"
#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

constexpr std::uint32_t kRequestBytes = 512U << 10;
constexpr std::uint32_t kResponseBytes = 256U << 10;
constexpr std::size_t kHeaderBytes = 1U << 20;
constexpr std::size_t kPairBytes = kRequestBytes + kResponseBytes;
constexpr std::size_t kFileBytes = kHeaderBytes + kPairBytes * kMaxSlots * kMaxSlots;

std::size_t offset_of(int from, int to, bool request) {
  const auto pair = static_cast<std::size_t>(from * kMaxSlots + to);
  return kHeaderBytes + pair * kPairBytes + (request ? 0 : kRequestBytes);
}

struct flock lock_of(int slot, short type) {
  struct flock lock = {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = slot;
  lock.l_len = 1;
  return lock;
}

bool allocate(int file, std::size_t offset, std::size_t bytes) {
  const int error = ::posix_fallocate(file, static_cast<off_t>(offset), static_cast<off_t>(bytes));
  if (error == 0) return true;
  log_line(
      "allocating {} bytes in {}: {}; enlarge /dev/shm or name another folder with "
      "SOFTMLX5_FOLDER",
      bytes, folder().path(), std::strerror(error));
  errno = error;
  return false;
}

}  // namespace

bool Fabric::join() {
  static_assert(sizeof(Header) <= kHeaderBytes);
  if (slot_ >= 0) return true;
  if (!folder().enter() || !open_file() || !claim_slot()) return false;
  drop_predecessors_mail();
  return true;
}

bool Fabric::open_file() {
  if (file_ >= 0) return true;
  const std::string path = folder().path() + "/rings";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (file < 0 || ::ftruncate(file, kFileBytes) != 0) {
    log_line("opening {}: {}", path, std::strerror(errno));
    return false;
  }
  if (!allocate(file, 0, kHeaderBytes)) return false;
  void* memory = ::mmap(nullptr, kFileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (memory == MAP_FAILED) {
    log_line("mapping {}: {}", path, std::strerror(errno));
    return false;
  }
  file_ = file;
  memory_ = static_cast<std::byte*>(memory);
  header_ = reinterpret_cast<Header*>(memory);
  return true;
}

bool Fabric::claim_slot() {
  for (int slot = 0; slot < kMaxSlots; ++slot) {
    struct flock lock = lock_of(slot, F_WRLCK);
    if (::fcntl(file_, F_SETLK, &lock) != 0) continue;
    Slot& mine = header_->slots[static_cast<std::size_t>(slot)];
    mine.generation.fetch_add(1);
    for (auto& part : mine.gpu) part = 0;
    mine.in_use.store(1);
    slot_ = slot;
    return true;
  }
  log_line("all {} places in {} are taken", kMaxSlots, folder().path());
  errno = EBUSY;
  return false;
}

void Fabric::drop_predecessors_mail() {
  for (int from = 0; from < kMaxSlots; ++from) {
    for (RingControl* control : {requests(from, slot_).control, responses(from, slot_).control}) {
      control->consumed.store(control->produced.load());
    }
  }
}

void Fabric::leave() {
  if (slot_ < 0) return;
  header_->slots[static_cast<std::size_t>(slot_)].in_use.store(0);
  struct flock lock = lock_of(slot_, F_UNLCK);
  ::fcntl(file_, F_SETLK, &lock);
  slot_ = -1;
}

std::uint32_t Fabric::generation() const {
  return header_->slots[static_cast<std::size_t>(slot_)].generation.load();
}

bool Fabric::in_use(int slot) const {
  return header_->slots[static_cast<std::size_t>(slot)].in_use.load(std::memory_order_acquire) != 0;
}

int Fabric::num_in_use() const {
  return static_cast<int>(std::count_if(header_->slots.begin(), header_->slots.end(),
                                        [](const Slot& slot) { return slot.in_use != 0; }));
}

bool Fabric::alive(int slot) const {
  if (slot == slot_) return true;
  struct flock lock = lock_of(slot, F_WRLCK);
  return ::fcntl(file_, F_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}

bool Fabric::prepare(int slot) const {
  return allocate(file_, offset_of(slot_, slot, true), kPairBytes) &&
         allocate(file_, offset_of(slot, slot_, true), kPairBytes);
}

void Fabric::publish_gpu(const std::array<std::uint64_t, 2>& uuid) {
  Slot& mine = header_->slots[static_cast<std::size_t>(slot_)];
  for (std::size_t i = 0; i < uuid.size(); ++i) mine.gpu[i] = uuid[i];
}

bool Fabric::shares_gpu(const std::array<std::uint64_t, 2>& uuid) const {
  for (std::size_t slot = 0; slot < header_->slots.size(); ++slot) {
    const Slot& other = header_->slots[slot];
    const bool same = other.gpu[0] == uuid[0] && other.gpu[1] == uuid[1];
    if (same && other.in_use != 0 && slot != static_cast<std::size_t>(slot_)) return true;
  }
  return false;
}

Ring Fabric::ring(int from, int to, bool request) const {
  Controls& controls =
      header_->controls[static_cast<std::size_t>(from)][static_cast<std::size_t>(to)];
  return {.control = request ? &controls.requests : &controls.responses,
          .data = memory_ + offset_of(from, to, request),
          .bytes = request ? kRequestBytes : kResponseBytes};
}

}  // namespace softmlx5
