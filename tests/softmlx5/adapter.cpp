// SPDX-License-Identifier: MIT
#include "tests/softmlx5/adapter.hpp"

#include <cerrno>

#include "tests/softmlx5/adversary.hpp"
#include "tests/softmlx5/engine.hpp"

namespace softmlx5 {

namespace {

// A queue pair's number: slot (6 bits), generation of the slot (8), handle (10).
constexpr int kGenerationShift = 10;
constexpr std::uint32_t kGenerationMask = 0xff;
constexpr std::uint32_t kHandleMask = 0x3ff;
constexpr int kSlotShift = 18;

}  // namespace

bool Adapter::start() {
  if (fabric.slot() >= 0) return true;
  if (!fabric.join()) return false;
  adversary().tell_slot(fabric.slot());
  return engine().start();
}

void Adapter::stop() {
  engine().stop();
  fabric.leave();
}

DeviceFile* Adapter::find_file(int descriptor) {
  for (DeviceFile& file : files) {
    if (file.is(descriptor)) return &file;
  }
  return nullptr;
}

int Adapter::open_file(int device, int flags) {
  const Guard guard(*this);
  for (DeviceFile& file : files) {
    if (!file.is_open()) return file.open(device, flags);
  }
  errno = EMFILE;
  return -1;
}

bool Adapter::close(int descriptor) {
  // Looked up without the lock first: most descriptors are none of ours.
  if (!channels.has(descriptor) && find_file(descriptor) == nullptr) return false;
  const Guard guard(*this);
  channels.close(descriptor);
  cqs.for_each([&](CompletionQueue& cq) {
    if (cq.channel() == descriptor) cq.drop_channel();
  });
  if (DeviceFile* file = find_file(descriptor)) {
    drop_objects_of(*file);
    file->close();
  }
  return true;
}

void Adapter::drop_objects_of(const DeviceFile& file) {
  qps.erase_if([&](const QueuePair& qp) { return qp.created().owner == &file; });
  cqs.erase_if([&](const CompletionQueue& cq) { return cq.owner() == &file; });
  regions.erase_of(&file);
}

std::uint32_t Adapter::qpn_of(std::uint32_t handle) const {
  return static_cast<std::uint32_t>(fabric.slot()) << kSlotShift |
         (fabric.generation() & kGenerationMask) << kGenerationShift | handle;
}

QueuePair* Adapter::find_qp(std::uint32_t qpn) const {
  QueuePair* qp = qps.find(qpn & kHandleMask);
  return qp != nullptr && qp->qpn() == qpn ? qp : nullptr;
}

void Adapter::destroy_qp(std::uint32_t handle) {
  QueuePair& qp = *qps.find(handle);
  qp.responder.settle();
  qp.created().send_cq->forget(qp.qpn());
  qp.created().receive_cq->forget(qp.qpn());
  qps.erase(handle);
}

Adapter& adapter() {
  static auto* const instance = new Adapter;
  return *instance;
}

}  // namespace softmlx5
