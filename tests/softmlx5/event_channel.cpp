// SPDX-License-Identifier: MIT
#include "tests/softmlx5/event_channel.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

namespace softmlx5 {

namespace {

/// Past our own hook.
void close_descriptor(int descriptor) { ::syscall(SYS_close, descriptor); }

}  // namespace

int EventChannels::open() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) return -1;
  for (Channel& channel : channels_) {
    if (channel.peer >= 0) continue;
    channel.program = ends[0];
    channel.peer = ends[1];
    return ends[0];
  }
  close_descriptor(ends[0]);
  close_descriptor(ends[1]);
  errno = EMFILE;
  return -1;
}

void EventChannels::close(int descriptor) {
  for (Channel& channel : channels_) {
    if (channel.program != descriptor || channel.peer < 0) continue;
    close_descriptor(channel.peer);
    channel.program = -1;
    channel.peer = -1;
  }
}

int EventChannels::peer_of(int descriptor) const {
  for (const Channel& channel : channels_) {
    if (channel.program == descriptor && descriptor >= 0) return channel.peer;
  }
  return -1;
}

bool EventChannels::send(int descriptor, const void* event, std::size_t bytes) const {
  const int peer = peer_of(descriptor);
  return peer >= 0 &&
         ::send(peer, event, bytes, MSG_NOSIGNAL | MSG_DONTWAIT) == static_cast<ssize_t>(bytes);
}

std::uint32_t EventChannels::withdraw(int descriptor, std::uint64_t user_handle) const {
  std::vector<std::uint64_t> others;
  std::uint32_t withdrawn = 0;
  std::uint64_t event = 0;
  while (::recv(descriptor, &event, sizeof event, MSG_DONTWAIT) == sizeof event) {
    if (event == user_handle) {
      ++withdrawn;
    } else {
      others.push_back(event);
    }
  }
  for (const std::uint64_t other : others) send(descriptor, &other, sizeof other);
  return withdrawn;
}

}  // namespace softmlx5
