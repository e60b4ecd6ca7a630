// SPDX-License-Identifier: MIT
// A peer that is killed: what was sent to it ends in a time-out, and its place serves the next one.
// Runs with the twin preloaded; starts itself again as the peer, with a socket as descriptor 3.
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "tests/softmlx5/test_pair.hpp"

extern char** environ;

namespace softmlx5_test {
namespace {

constexpr int kPeerSocket = 3;

struct Greeting {
  ibv_gid gid;
  std::uint64_t address;
  std::uint32_t rkey;
  std::uint32_t qpn;
  std::uint16_t lid;
};

template <class T>
void tell(int socket, const T& what) {
  check(::send(socket, &what, sizeof what, 0) == sizeof what, "send");
}
template <class T>
T hear(int socket) {
  T what = {};
  check(::recv(socket, &what, sizeof what, MSG_WAITALL) == sizeof what, "recv");
  return what;
}

/// One end of a connection between processes.
class End {
 public:
  explicit End(int socket) {
    tell(socket, Greeting{.gid = first_gid(device),
                          .address = memory.address(),
                          .rkey = memory.key(),
                          .qpn = qp.get()->qp_num,
                          .lid = device.port.lid});
    far = hear<Greeting>(socket);
    ibv_port_attr port = device.port;
    port.lid = far.lid;
    connect(qp.get(), far.qpn, port, far.gid);
    tell(socket, true);
    hear<bool>(socket);
  }
  /// A write to the other end; its completion's status.
  ibv_wc_status write() {
    ibv_sge piece = {memory.address(), 8, memory.key()};
    ibv_send_wr wr = {};
    wr.sg_list = &piece;
    wr.num_sge = 1;
    wr.opcode = IBV_WR_RDMA_WRITE;
    wr.send_flags = IBV_SEND_SIGNALED;
    wr.wr.rdma = {far.address, far.rkey};
    ibv_send_wr* bad = nullptr;
    check(ibv_post_send(qp.get(), &wr, &bad) == 0, "post");
    return wait_completion(cq.get()).status;
  }

  Device device;
  Memory memory{device.pd.get(), 4096};
  llep::UniqueCq cq{ibv_create_cq(device.context.get(), 63, nullptr, nullptr, 0)};
  llep::UniqueQp qp = make_qp(device, cq.get(), {});
  Greeting far = {};
};

class Peer {
 public:
  Peer() {
    int ends[2];
    check(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0, "socketpair");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], kPeerSocket);
    char name[] = "death_test";
    char role[] = "peer";
    char* arguments[] = {name, role, nullptr};
    check(::posix_spawn(&process_, "/proc/self/exe", &actions, nullptr, arguments, environ) == 0,
          "starting the peer");
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    socket_ = ends[0];
  }
  ~Peer() {
    kill();
    ::close(socket_);
  }
  int socket() const { return socket_; }
  void kill() {
    if (process_ < 0) return;
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
    process_ = -1;
  }

 private:
  pid_t process_ = -1;
  int socket_ = -1;
};

int be_the_peer() {
  const End end(kPeerSocket);
  for (;;) ::pause();
}

int be_the_one_left() {
  Peer first;
  End end(first.socket());
  check(end.write() == IBV_WC_SUCCESS, "a write to a living peer succeeds");
  first.kill();
  check(end.write() == IBV_WC_RETRY_EXC_ERR, "a write to a dead peer ends in a time-out");
  check(end.write() == IBV_WC_WR_FLUSH_ERR, "and the next one is flushed");
  // The next peers get the dead ones' places.
  for (int i = 0; i < 3; ++i) {
    const Peer next;
    End again(next.socket());
    check(again.write() == IBV_WC_SUCCESS, "a write to the next peer succeeds");
  }
  return 0;
}

}  // namespace
}  // namespace softmlx5_test

int main(int argc, char** /*argv*/) {
  return argc > 1 ? softmlx5_test::be_the_peer() : softmlx5_test::be_the_one_left();
}
