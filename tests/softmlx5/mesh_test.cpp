// SPDX-License-Identifier: MIT
// mesh_test ITERATIONS: ranks in a full mesh, entries written by hand. Each iteration every rank
// sends every rank rows, then an inline flag on the same queue pair, and adds 1 to a counter at
// rank 0; whoever sees a flag checks every byte of the rows before it. Runs under mpirun with the
// twin preloaded.
#include <cstdio>
#include <cstdlib>
#include <numeric>

#include "common/mix64.hpp"
#include "common/mpi_session.hpp"
#include "tests/softmlx5/test_pair.hpp"

namespace softmlx5_test {
namespace {

constexpr std::uint32_t kRows = 3;
constexpr std::uint32_t kMostRowBytes = 40000;
constexpr std::size_t kRowRoom = 40960;
constexpr std::size_t kFlags = 4096;  // behind the counter
constexpr std::size_t kData = 65536;

/// What a rank tells all others.
struct Address {
  ibv_gid gid;
  std::uint64_t window;
  std::uint32_t rkey;
  std::uint16_t lid;
};

class Mesh {
 public:
  explicit Mesh(llep::Communicator& world)
      : world_(world), num_ranks_(static_cast<std::size_t>(world.size())) {}

  void connect();
  /// False: something received is wrong.
  bool run(std::uint64_t iterations);

 private:
  std::uint32_t row_bytes(std::uint64_t iteration, std::size_t from, std::size_t row) const {
    return static_cast<std::uint32_t>(1 +
                                      llep::mix64(iteration * 64 + from * 8 + row) % kMostRowBytes);
  }
  static std::byte byte_of(std::uint64_t iteration, std::size_t from, std::size_t at) {
    return static_cast<std::byte>(iteration * 31 + from * 17 + at + (at >> 8));
  }
  /// Two of each: a peer may be one iteration ahead.
  std::size_t flag_at(std::uint64_t iteration, std::size_t from) const {
    return kFlags + (iteration % 2 * num_ranks_ + from) * 64;
  }
  std::size_t row_at(std::uint64_t iteration, std::size_t from, std::size_t row) const {
    return kData + ((iteration % 2 * num_ranks_ + from) * kRows + row) * kRowRoom;
  }
  std::size_t self() const { return static_cast<std::size_t>(world_.rank()); }

  void send(std::uint64_t iteration, std::size_t to);
  bool check_rows(std::uint64_t iteration, std::size_t from);

  llep::Communicator& world_;
  std::size_t num_ranks_;
  Device device_;
  Memory rows_{device_.pd.get(), kRows* kRowRoom + 64};
  Memory window_{device_.pd.get(), kData + 2 * num_ranks_* kRows* kRowRoom};
  std::vector<llep::UniqueCq> cqs_;
  std::vector<llep::UniqueQp> qps_;
  std::vector<RawQueue> queues_;  // by peer
  std::vector<Address> addresses_;
};

void Mesh::connect() {
  std::vector<std::uint32_t> qpns;
  for (std::size_t i = 0; i < num_ranks_; ++i) {
    cqs_.emplace_back(ibv_create_cq(device_.context.get(), 63, nullptr, nullptr, 0));
    qps_.push_back(make_qp(device_, cqs_.back().get(), {}));
    qpns.push_back(qps_.back().get()->qp_num);
  }
  addresses_ = llep::gather_all(world_, Address{.gid = first_gid(device_),
                                                .window = window_.address(),
                                                .rkey = window_.key(),
                                                .lid = device_.port.lid});
  const auto all = llep::gather_all(world_, std::span<const std::uint32_t>(qpns));
  for (std::size_t i = 0; i < num_ranks_; ++i) {
    ibv_port_attr port = device_.port;
    port.lid = addresses_[i].lid;
    softmlx5_test::connect(qps_[i].get(), all[i * num_ranks_ + self()], port, addresses_[i].gid);
    queues_.emplace_back(qps_[i].get(), cqs_[i].get());
  }
  world_.barrier();
}

void Mesh::send(std::uint64_t iteration, std::size_t to) {
  RawQueue& queue = queues_[to];
  const Address& peer = addresses_[to];
  for (std::size_t row = 0; row < kRows; ++row) {
    queue.write({.signaled = false,
                 .local = rows_.address(row * kRowRoom),
                 .lkey = rows_.key(),
                 .remote = peer.window + row_at(iteration, self(), row),
                 .rkey = peer.rkey,
                 .bytes = row_bytes(iteration, self(), row)});
  }
  queue.write({.signaled = false,
               .remote = peer.window + flag_at(iteration, self()),
               .rkey = peer.rkey,
               .inline_word = iteration});
  queue.write({.opcode = MLX5_OPCODE_ATOMIC_FA,
               .local = rows_.address(kRows * kRowRoom),
               .lkey = rows_.key(),
               .remote = to == 0 ? peer.window : peer.window + 8,
               .rkey = peer.rkey});
  queue.publish();
  queue.ring();
}

bool Mesh::check_rows(std::uint64_t iteration, std::size_t from) {
  check(window_.wait_word(flag_at(iteration, from), iteration), "the flag in time");
  for (std::size_t row = 0; row < kRows; ++row) {
    const std::byte* bytes = window_.data() + row_at(iteration, from, row);
    for (std::size_t i = 0; i < row_bytes(iteration, from, row); ++i) {
      if (bytes[i] == byte_of(iteration, from, row * kRowRoom + i)) continue;
      std::fprintf(stderr, "rank %zu, iteration %llu: row %zu of rank %zu is wrong at byte %zu\n",
                   self(), static_cast<unsigned long long>(iteration), row, from, i);
      return false;
    }
  }
  return true;
}

bool Mesh::run(std::uint64_t iterations) {
  bool good = true;
  for (std::uint64_t iteration = 1; iteration <= iterations; ++iteration) {
    for (std::size_t i = 0; i < kRows * kRowRoom; ++i) {
      rows_.data()[i] = byte_of(iteration, self(), i);
    }
    for (std::size_t to = 0; to < num_ranks_; ++to) send(iteration, to);
    for (std::size_t from = 0; from < num_ranks_; ++from) good &= check_rows(iteration, from);
    for (RawQueue& queue : queues_) good &= kind_of(queue.wait()) == MLX5_CQE_REQ;
  }
  world_.barrier();
  if (self() == 0) good &= window_.word(0) == iterations * num_ranks_;
  world_.barrier();
  return good;
}

}  // namespace
}  // namespace softmlx5_test

int main(int argc, char** argv) {
  const llep::MpiSession session;
  llep::MpiCommunicator world = llep::MpiCommunicator::world();
  softmlx5_test::check(argc == 2, "mesh_test ITERATIONS");
  softmlx5_test::Mesh mesh(world);
  mesh.connect();
  const int wrong = mesh.run(std::strtoull(argv[1], nullptr, 10)) ? 0 : 1;
  const auto all = llep::gather_all(world, wrong);
  return std::accumulate(all.begin(), all.end(), 0) == 0 ? 0 : 1;
}
