// SPDX-License-Identifier: MIT
// Preloaded beside an MPI that knows nothing of GPUs: makes it take GPU memory for messages, by
// copies through host memory. What it replaces is what the wire mpi calls.
#include <cuda_runtime.h>
#include <mpi.h>

#include <cstddef>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <vector>

namespace {

/// Host memory in the place of a message's GPU memory.
struct Bounce {
  std::vector<std::byte> host;
  void* gpu = nullptr;  // null: of a message that is sent
};

std::mutex mutex;
std::map<MPI_Request, std::unique_ptr<Bounce>> under_way;

bool is_gpu_memory(const void* address) {
  cudaPointerAttributes attributes = {};
  return cudaPointerGetAttributes(&attributes, address) == cudaSuccess &&
         attributes.type == cudaMemoryTypeDevice;
}

/// In a stream of its own: kernels that wait for these bytes are running.
void copy(void* to, const void* from, std::size_t bytes) {
  cudaStream_t stream = nullptr;
  const bool copied =
      cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking) == cudaSuccess &&
      cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream) == cudaSuccess &&
      cudaStreamSynchronize(stream) == cudaSuccess && cudaStreamDestroy(stream) == cudaSuccess;
  if (!copied) std::abort();
}

void complete(MPI_Request request) {
  const auto found = under_way.find(request);
  if (found == under_way.end()) return;
  const Bounce& bounce = *found->second;
  if (bounce.gpu != nullptr) copy(bounce.gpu, bounce.host.data(), bounce.host.size());
  under_way.erase(found);
}

}  // namespace

extern "C" {

int MPIX_Query_cuda_support() { return 1; }

int MPI_Isend(const void* from, int count, MPI_Datatype type, int to, int tag, MPI_Comm comm,
              MPI_Request* request) {
  if (!is_gpu_memory(from)) return PMPI_Isend(from, count, type, to, tag, comm, request);
  auto bounce = std::make_unique<Bounce>();
  bounce->host.resize(static_cast<std::size_t>(count));
  copy(bounce->host.data(), from, bounce->host.size());
  const std::lock_guard lock(mutex);
  const int status = PMPI_Isend(bounce->host.data(), count, type, to, tag, comm, request);
  under_way[*request] = std::move(bounce);
  return status;
}

int MPI_Irecv(void* to, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request* request) {
  if (!is_gpu_memory(to)) return PMPI_Irecv(to, count, type, from, tag, comm, request);
  auto bounce = std::make_unique<Bounce>();
  bounce->host.resize(static_cast<std::size_t>(count));
  bounce->gpu = to;
  const std::lock_guard lock(mutex);
  const int status = PMPI_Irecv(bounce->host.data(), count, type, from, tag, comm, request);
  under_way[*request] = std::move(bounce);
  return status;
}

int MPI_Testsome(int count, MPI_Request requests[], int* num_done, int indices[],
                 MPI_Status statuses[]) {
  const std::vector<MPI_Request> before(requests, requests + count);
  const std::lock_guard lock(mutex);
  const int status = PMPI_Testsome(count, requests, num_done, indices, statuses);
  for (int i = 0; i < *num_done && *num_done != MPI_UNDEFINED; ++i) complete(before[indices[i]]);
  return status;
}

}  // extern "C"
