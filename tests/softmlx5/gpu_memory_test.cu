// SPDX-License-Identifier: MIT
// gpu_memory_test mr|dmabuf ITERATIONS: ranks in a full mesh, each on a GPU (several on one if
// there are fewer), queue pairs of unmodified libmlx5, all rows and flags in GPU memory. First the
// host posts operations of all kinds on that memory; then kernels drive the queues. Runs under
// mpirun with the twin preloaded; exit code 77 without a GPU.
#include <cuda.h>
#include <cuda_runtime.h>

#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <string_view>

#include "common/mpi_session.hpp"
#include "tests/softmlx5/gpu_exchange.cuh"
#include "tests/softmlx5/test_pair.hpp"

namespace softmlx5_test {
namespace {

constexpr int kSkip = 77;
constexpr std::size_t kPage = 4096;
constexpr std::size_t kScratch = 1U << 20;  // for what the host posts
constexpr std::size_t kFlagStride = 64;

void check_cuda(cudaError_t error, const char* doing) {
  if (error == cudaSuccess) return;
  std::fprintf(stderr, "%s: %s\n", doing, cudaGetErrorString(error));
  std::exit(99);
}

/// Where things lie in every rank's GPU memory. `n` ranks.
struct Layout {
  std::size_t n;
  std::size_t rows_out(std::size_t peer) const { return kScratch + peer * kRowsBytes; }
  std::size_t rows_in(std::size_t peer) const { return rows_out(n) + 2 * peer * kRowsBytes; }
  std::size_t flags_in(std::size_t peer) const { return rows_in(n) + peer * kFlagStride; }
  std::size_t bytes() const {
    constexpr std::size_t kGranularity = 2U << 20;
    return (flags_in(n) + kGranularity - 1) / kGranularity * kGranularity;
  }
};

class GpuMemory {
 public:
  GpuMemory(ibv_pd* pd, std::size_t bytes, bool dmabuf) {
    check_cuda(cudaMalloc(&base_, bytes), "cudaMalloc");
    check_cuda(cudaMemset(base_, 0, bytes), "cudaMemset");
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    mr_ = llep::UniqueMr(dmabuf ? register_dmabuf(pd, bytes)
                                : ibv_reg_mr(pd, base_, bytes, kAllAccess));
    check(static_cast<bool>(mr_), "registering GPU memory");
  }
  std::byte* at(std::size_t offset) const { return base_ + offset; }
  std::uint64_t address(std::size_t offset = 0) const {
    return reinterpret_cast<std::uint64_t>(base_ + offset);
  }
  std::uint32_t key() const { return mr_.get()->lkey; }

 private:
  ibv_mr* register_dmabuf(ibv_pd* pd, std::size_t bytes) const {
    void* function = nullptr;
    cudaDriverEntryPointQueryResult found = {};
    check_cuda(cudaGetDriverEntryPointByVersion("cuMemGetHandleForAddressRange", &function, 12000,
                                                cudaEnableDefault, &found),
               "cudaGetDriverEntryPoint");
    int descriptor = -1;
    const auto export_range = reinterpret_cast<decltype(&cuMemGetHandleForAddressRange)>(function);
    check(export_range(&descriptor, address(), bytes, CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0) ==
              CUDA_SUCCESS,
          "exporting GPU memory as a dma-buf");
    return ibv_reg_dmabuf_mr(pd, 0, bytes, address(), descriptor, kAllAccess);
  }

  std::byte* base_ = nullptr;
  llep::UniqueMr mr_;
};

/// Host memory of libmlx5 as the GPU sees it, page by page: neighbours may share pages.
template <class T>
T* map(T* memory, std::size_t bytes) {
  const auto begin = reinterpret_cast<std::uintptr_t>(memory) & ~(kPage - 1);
  const auto end = reinterpret_cast<std::uintptr_t>(memory) + bytes;
  for (std::uintptr_t page = begin; page < end; page += kPage) {
    const cudaError_t error =
        cudaHostRegister(reinterpret_cast<void*>(page), kPage, cudaHostRegisterMapped);
    if (error == cudaErrorHostMemoryAlreadyRegistered) {
      cudaGetLastError();
    } else {
      check_cuda(error, "cudaHostRegister");
    }
  }
  return memory;
}

struct Address {
  ibv_gid gid;
  std::uint64_t memory;
  std::uint32_t rkey;
  std::uint16_t lid;
};

class Ranks {
 public:
  Ranks(llep::Communicator& world, bool dmabuf)
      : world_(world),
        layout_{static_cast<std::size_t>(world.size())},
        memory_(device_.pd.get(), layout_.bytes(), dmabuf) {}

  void connect();
  bool host_posts();
  bool kernels(std::uint64_t iterations);

 private:
  std::size_t self() const { return static_cast<std::size_t>(world_.rank()); }
  Channel channel_to(std::size_t peer);
  void post(std::size_t peer, ibv_wr_opcode opcode, std::size_t from, std::size_t bytes,
            std::size_t to, std::uint64_t operand = 0, std::uint64_t swap = 0);
  template <class T>
  T read(std::size_t offset) const {
    T value = {};
    check_cuda(cudaMemcpy(&value, memory_.at(offset), sizeof value, cudaMemcpyDeviceToHost),
               "cudaMemcpy");
    return value;
  }

  llep::Communicator& world_;
  Layout layout_;
  Device device_;
  GpuMemory memory_;
  std::vector<llep::UniqueCq> cqs_;  // by peer
  std::vector<llep::UniqueQp> qps_;
  // The host posts on queue pairs of its own.
  std::vector<llep::UniqueCq> host_cqs_;
  std::vector<llep::UniqueQp> host_qps_;
  std::vector<Address> addresses_;
};

void Ranks::connect() {
  std::vector<std::uint32_t> qpns;
  const auto make = [&](std::vector<llep::UniqueCq>& cqs, std::vector<llep::UniqueQp>& qps) {
    cqs.emplace_back(ibv_create_cq(device_.context.get(), 127, nullptr, nullptr, 0));
    qps.push_back(make_qp(device_, cqs.back().get(), {.depth = 128}));
    qpns.push_back(qps.back().get()->qp_num);
  };
  for (std::size_t i = 0; i < layout_.n; ++i) {
    make(cqs_, qps_);
    make(host_cqs_, host_qps_);
  }
  addresses_ = llep::gather_all(world_, Address{.gid = first_gid(device_),
                                                .memory = memory_.address(),
                                                .rkey = memory_.key(),
                                                .lid = device_.port.lid});
  const auto all = llep::gather_all(world_, std::span<const std::uint32_t>(qpns));
  for (std::size_t i = 0; i < layout_.n; ++i) {
    ibv_port_attr port = device_.port;
    port.lid = addresses_[i].lid;
    const std::uint32_t* theirs = &all[2 * (i * layout_.n + self())];
    softmlx5_test::connect(qps_[i].get(), theirs[0], port, addresses_[i].gid);
    softmlx5_test::connect(host_qps_[i].get(), theirs[1], port, addresses_[i].gid);
  }
  world_.barrier();
}

void Ranks::post(std::size_t peer, ibv_wr_opcode opcode, std::size_t from, std::size_t bytes,
                 std::size_t to, std::uint64_t operand, std::uint64_t swap) {
  ibv_sge piece = {memory_.address(from), static_cast<std::uint32_t>(bytes), memory_.key()};
  ibv_send_wr wr = {};
  wr.sg_list = &piece;
  wr.num_sge = 1;
  wr.opcode = opcode;
  wr.send_flags = IBV_SEND_SIGNALED;
  const Address& there = addresses_[peer];
  if (opcode == IBV_WR_ATOMIC_FETCH_AND_ADD || opcode == IBV_WR_ATOMIC_CMP_AND_SWP) {
    wr.wr.atomic = {there.memory + to, operand, swap, there.rkey};
  } else {
    wr.wr.rdma = {there.memory + to, there.rkey};
  }
  ibv_send_wr* bad = nullptr;
  check(ibv_post_send(host_qps_[peer].get(), &wr, &bad) == 0, "ibv_post_send");
  check(wait_completion(host_cqs_[peer].get()).status == IBV_WC_SUCCESS,
        "a completion without error");
}

/// Each rank on its successor's memory: atomics on the first word, then writes and reads of odd
/// sizes at odd places.
bool Ranks::host_posts() {
  constexpr std::size_t kResult = 64;
  constexpr std::size_t kPattern = 4096;
  constexpr std::size_t kTarget = 300001;
  constexpr std::size_t kBack = 600000;
  const std::size_t next = (self() + 1) % layout_.n;
  for (std::uint64_t i = 0; i < 5; ++i) {
    post(next, IBV_WR_ATOMIC_FETCH_AND_ADD, kResult, 8, 0, 3);
    if (read<std::uint64_t>(kResult) != 3 * i) return false;
  }
  for (const std::uint64_t old : {15U, 77U}) {
    post(next, IBV_WR_ATOMIC_CMP_AND_SWP, kResult, 8, 0, 15, 77);
    if (read<std::uint64_t>(kResult) != old) return false;
  }
  for (const std::size_t bytes : {1UL, 5UL, 8UL, 4097UL, 200003UL}) {
    std::vector<std::uint8_t> pattern(bytes);
    std::iota(pattern.begin(), pattern.end(), static_cast<std::uint8_t>(bytes + self()));
    check_cuda(cudaMemcpy(memory_.at(kPattern), pattern.data(), bytes, cudaMemcpyHostToDevice),
               "cudaMemcpy");
    check_cuda(cudaDeviceSynchronize(), "cudaDeviceSynchronize");
    post(next, IBV_WR_RDMA_WRITE, kPattern, bytes, kTarget);
    post(next, IBV_WR_RDMA_READ, kBack, bytes, kTarget);
    std::vector<std::uint8_t> back(bytes);
    check_cuda(cudaMemcpy(back.data(), memory_.at(kBack), bytes, cudaMemcpyDeviceToHost),
               "cudaMemcpy");
    if (back != pattern) return false;
  }
  return true;
}

Channel Ranks::channel_to(std::size_t peer) {
  RawQueue queue(qps_[peer].get(), cqs_[peer].get());
  const mlx5dv_qp& qp = queue.queue();
  const mlx5dv_cq& cq = queue.completions();
  check(cq.cqe_size == kBlock, "completions of 64 bytes");
  const Address& there = addresses_[peer];
  return {.entries = map(static_cast<std::byte*>(qp.sq.buf), qp.sq.wqe_cnt * std::size_t{kBlock}),
          .num_entries = qp.sq.wqe_cnt,
          .send_record = map(qp.dbrec, 8) + MLX5_SND_DBR,
          .doorbell = map(static_cast<std::byte*>(qp.bf.reg), 2 * qp.bf.size),
          .half_bytes = qp.bf.size,
          .completions = map(static_cast<std::byte*>(cq.buf), cq.cqe_cnt * std::size_t{kBlock}),
          .num_completions = cq.cqe_cnt,
          .completion_record = map(cq.dbrec, 8),
          .qpn = qps_[peer].get()->qp_num,
          .lkey = memory_.key(),
          .rkey = there.rkey,
          .self = world_.rank(),
          .peer = static_cast<int>(peer),
          .rows_out = reinterpret_cast<std::uint32_t*>(memory_.at(layout_.rows_out(peer))),
          .rows_in = reinterpret_cast<std::uint32_t*>(memory_.at(layout_.rows_in(peer))),
          .flags_in = reinterpret_cast<std::uint64_t*>(memory_.at(layout_.flags_in(peer))),
          .remote_rows = there.memory + layout_.rows_in(self()),
          .remote_flags = there.memory + layout_.flags_in(self())};
}

bool Ranks::kernels(std::uint64_t iterations) {
  Channel* channels = nullptr;
  Report* reports = nullptr;
  check_cuda(cudaMallocHost(&channels, layout_.n * sizeof *channels), "cudaMallocHost");
  check_cuda(cudaMallocHost(&reports, layout_.n * sizeof *reports), "cudaMallocHost");
  for (std::size_t i = 0; i < layout_.n; ++i) {
    channels[i] = channel_to(i);
    reports[i] = {};
  }
  world_.barrier();
  exchange_kernel<<<static_cast<unsigned>(layout_.n), kThreads>>>(channels, iterations, reports);
  check_cuda(cudaGetLastError(), "launching");
  check_cuda(cudaDeviceSynchronize(), "the kernel");
  bool good = true;
  for (std::size_t i = 0; i < layout_.n; ++i) {
    if (reports[i].failure == Failure::kNone) continue;
    good = false;
    std::fprintf(stderr, "rank %zu with rank %zu, iteration %llu: failure %u\n", self(), i,
                 static_cast<unsigned long long>(reports[i].iteration),
                 static_cast<unsigned>(reports[i].failure));
  }
  world_.barrier();
  return good;
}

int run(llep::Communicator& world, bool dmabuf, std::uint64_t iterations) {
  Ranks ranks(world, dmabuf);
  ranks.connect();
  const bool posts = ranks.host_posts();
  if (!posts) std::fprintf(stderr, "rank %d: what the host posted is wrong\n", world.rank());
  world.barrier();
  const bool kernels = ranks.kernels(iterations);
  const auto wrong = llep::gather_all(world, posts && kernels ? 0 : 1);
  return std::accumulate(wrong.begin(), wrong.end(), 0) == 0 ? 0 : 1;
}

}  // namespace
}  // namespace softmlx5_test

int main(int argc, char** argv) {
  using namespace softmlx5_test;
  const llep::MpiSession session;
  llep::MpiCommunicator world = llep::MpiCommunicator::world();
  check(argc == 3, "gpu_memory_test mr|dmabuf ITERATIONS");
  int num_gpus = 0;
  if (cudaGetDeviceCount(&num_gpus) != cudaSuccess || num_gpus == 0) {
    if (world.rank() == 0) std::puts("skipped: no GPU");
    return kSkip;
  }
  check_cuda(cudaSetDevice(world.rank() % num_gpus), "cudaSetDevice");
  check_cuda(cudaFree(nullptr), "starting CUDA");
  return run(world, argv[1] == std::string_view("dmabuf"), std::strtoull(argv[2], nullptr, 10));
}
