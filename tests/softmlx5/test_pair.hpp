// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/mlx5dv.h>
#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "transport/verbs/handles.hpp"

/// What the twin's own tests are written with: verbs without llep's transports.
namespace softmlx5_test {

inline constexpr int kAllAccess = IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_WRITE |
                                  IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_ATOMIC;

/// Ends the process with the file and line when a call that must work does not.
void check(bool good, const char* what, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

/// False: it did not come true in 20 s.
bool wait_for(const std::function<bool()>& done);

/// The first device, opened.
struct Device {
  Device();

  llep::UniqueContext context;
  llep::UniquePd pd;
  ibv_port_attr port = {};
};

/// Registered host memory, zero at first.
class Memory {
 public:
  Memory(ibv_pd* pd, std::size_t bytes, int access = kAllAccess);

  std::byte* data() { return bytes_.data(); }
  std::uint64_t address(std::size_t offset = 0) const {
    return reinterpret_cast<std::uint64_t>(bytes_.data()) + offset;
  }
  std::uint32_t key() const { return mr_.get()->lkey; }
  /// A word that the adapter writes.
  std::uint64_t word(std::size_t offset) const;
  void set_word(std::size_t offset, std::uint64_t value);
  /// False: it did not come to hold `value` in 20 s.
  bool wait_word(std::size_t offset, std::uint64_t value) const;

 private:
  std::vector<std::byte> bytes_;
  llep::UniqueMr mr_;
};

struct PairOptions {
  std::uint32_t depth = 64;
  int cq_entries = 255;
  ibv_comp_channel* channel = nullptr;
  ibv_pd* pd = nullptr;  // another one than the device's: a parent domain
};

llep::UniqueQp make_qp(const Device& device, ibv_cq* cq, const PairOptions& options);
ibv_gid first_gid(const Device& device);
/// Brings it to RTS, with a peer at this port and GID.
void connect(ibv_qp* qp, std::uint32_t peer_qpn, const ibv_port_attr& port, const ibv_gid& gid);

/// Two queue pairs of this process, connected; the first's completions come to `cq`.
struct Pair {
  explicit Pair(const Device& device, const PairOptions& options = {});

  llep::UniqueCq cq;
  llep::UniqueCq far_cq;
  llep::UniqueQp qp;
  llep::UniqueQp far;
};

/// The next completion; ends the process after 20 s without.
ibv_wc wait_completion(ibv_cq* cq);

/// What an entry says.
struct Entry {
  std::uint8_t opcode = MLX5_OPCODE_RDMA_WRITE;
  bool signaled = true;
  std::uint64_t local = 0;
  std::uint32_t lkey = 0;
  std::uint64_t remote = 0;
  std::uint32_t rkey = 0;
  std::uint32_t bytes = 8;
  std::optional<std::uint64_t> inline_word;  // instead of local memory
  // To be wrong on purpose
  std::optional<std::uint32_t> ds;
  std::optional<std::uint16_t> index;
  std::optional<std::uint32_t> qpn;
};

/// A queue pair driven by hand, as a GPU does it: entries, doorbell record, register, completions.
class RawQueue {
 public:
  RawQueue(ibv_qp* qp, ibv_cq* cq);

  /// One block; returns its index.
  std::uint16_t write(const Entry& entry);
  /// All entries so far are in the send doorbell record.
  void publish();
  /// The doorbell register.
  void ring();
  void post(const Entry& entry) {
    write(entry);
    publish();
    ring();
  }
  /// The next completion, once it is there. Not for a queue that ibv_poll_cq reads too.
  std::optional<mlx5_cqe64> poll();
  mlx5_cqe64 wait();

  mlx5dv_qp& queue() { return qp_; }
  mlx5dv_cq& completions() { return cq_; }

 private:
  mlx5_wqe_ctrl_seg* block(std::uint32_t index);

  mlx5dv_qp qp_ = {};
  mlx5dv_cq cq_ = {};
  std::uint32_t qpn_;
  std::uint32_t produced_ = 0;
  std::uint32_t consumed_ = 0;
  std::size_t register_half_ = 0;
};

std::uint8_t kind_of(const mlx5_cqe64& completion);
std::uint8_t syndrome_of(const mlx5_cqe64& completion);

}  // namespace softmlx5_test
