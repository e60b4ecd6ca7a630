// SPDX-License-Identifier: MIT
#include "common/exec/cuda_device.hpp"

#include <cuda.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>

#include "common/error.hpp"
#include "common/exec/cuda_pages.hpp"
#include "common/exec/cuda_word_writer.hpp"
#include "common/exec/model.hpp"

namespace llep {

namespace {

Memory device_memory(std::size_t bytes) {
  void* memory = nullptr;
  const cudaError_t status = cudaMalloc(&memory, std::max<std::size_t>(bytes, 1));
  if (status == cudaErrorMemoryAllocation) {
    std::size_t free_bytes = 0;
    std::size_t total_bytes = 0;
    cudaMemGetInfo(&free_bytes, &total_bytes);
    throw Error(ExitCode::kInternal,
                "allocating " + std::to_string(bytes) + " bytes of GPU memory: only " +
                    std::to_string(free_bytes) + " are free; use smaller shapes");
  }
  cuda::check(status, "allocating GPU memory");
  return Memory(static_cast<std::byte*>(memory), [](std::byte* address) { cudaFree(address); });
}

/// Of device memory that shares its pages with no other: cudaMalloc's own granularity.
constexpr std::size_t kOwnPages = 2 << 20;

std::string version_text(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

}  // namespace

namespace cuda {

void check(cudaError_t status, const char* doing) {
  if (status == cudaSuccess) return;
  const bool no_image =
      status == cudaErrorNoKernelImageForDevice || status == cudaErrorInvalidDeviceFunction;
  throw Error(no_image ? ExitCode::kUnavailable : ExitCode::kInternal,
              std::string(doing) + ": " + cudaGetErrorString(status) +
                  (no_image ? "; build for this GPU with -DCMAKE_CUDA_ARCHITECTURES" : ""));
}

void* driver_function(const char* name, unsigned version) {
  void* symbol = nullptr;
  cudaDriverEntryPointQueryResult found = {};
  check(cudaGetDriverEntryPointByVersion(name, &symbol, version, cudaEnableDefault, &found),
        "looking for a function of the CUDA driver");
  return found == cudaDriverEntryPointSuccess ? symbol : nullptr;
}

int num_devices() {
  int count = 0;
  if (cudaGetDeviceCount(&count) != cudaSuccess) {
    cudaGetLastError();
    return 0;
  }
  return count;
}

std::string uuid(int ordinal) {
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, ordinal), "asking for a GPU's properties");
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "GPU-";
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    const auto byte = static_cast<unsigned char>(properties.uuid.bytes[i]);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15U];
  }
  return text;
}

std::string driver_version() {
  int version = 0;
  check(cudaDriverGetVersion(&version), "asking for the driver's version");
  return version_text(version);
}

std::string runtime_version() {
  int version = 0;
  check(cudaRuntimeGetVersion(&version), "asking for the runtime's version");
  return version_text(version);
}

}  // namespace cuda

CudaDevice::CudaDevice(int ordinal, int rank, int ranks_sharing)
    : ordinal_(ordinal), host_pages_(cuda::host_pages()), register_pages_(cuda::register_pages()) {
  using cuda::check;
  check(cudaSetDevice(ordinal), "selecting a GPU");
  cudaDeviceProp properties = {};
  check(cudaGetDeviceProperties(&properties, ordinal), "asking for a GPU's properties");
  name_ = properties.name;
  num_blocks_ = std::max(1, properties.multiProcessorCount / ranks_sharing);
  shared_bytes_ = static_cast<std::uint32_t>(properties.sharedMemPerBlockOptin);
  cudaStream_t stream = nullptr;
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  stream_ = Stream(stream);
  check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "creating a stream");
  aside_ = Stream(stream);
  for (Event& event : events_) {
    cudaEvent_t handle = nullptr;
    check(cudaEventCreate(&handle), "creating an event");
    event = Event(handle);
  }
  record_ = allocate_pinned(sizeof(FaultRecord));
  raised_ = allocate(sizeof(std::uint32_t));
  faults_ = FaultSink{.record = new (record_.get()) FaultRecord,
                      .raised = reinterpret_cast<std::uint32_t*>(raised_.get()),
                      .rank = rank};
}

CudaDevice::~CudaDevice() { cudaStreamSynchronize(stream_.get()); }

Memory CudaDevice::allocate(std::size_t bytes) {
  Memory memory = device_memory(bytes);
  fill(memory.get(), 0, bytes);
  return memory;
}

Memory CudaDevice::allocate_pinned(std::size_t bytes) {
  void* memory = nullptr;
  cuda::check(cudaMallocHost(&memory, bytes), "allocating pinned host memory");
  std::memset(memory, 0, bytes);
  return Memory(static_cast<std::byte*>(memory),
                [](std::byte* address) { cudaFreeHost(address); });
}

Memory CudaDevice::allocate_pages(std::size_t bytes) {
  return allocate(round_up(std::max<std::size_t>(bytes, 1), kOwnPages));
}

Memory CudaDevice::map_host(void* address, std::size_t bytes) {
  return cuda::map_pages(host_pages_, address, bytes);
}

/// A register's page is no other object's.
Memory CudaDevice::map_registers(void* address, std::size_t bytes) {
  return cuda::map_pages(register_pages_, address, bytes);
}

Memory CudaDevice::allocate_shared(std::size_t bytes, SharedMemoryHandle& handle) {
  Memory memory = allocate_pages(bytes);
  cudaIpcMemHandle_t ipc = {};
  static_assert(sizeof ipc <= sizeof handle.key);
  cuda::check(cudaIpcGetMemHandle(&ipc, memory.get()), "exporting GPU memory by CUDA IPC");
  std::memcpy(handle.key.data(), &ipc, sizeof ipc);
  handle.address = reinterpret_cast<std::uint64_t>(memory.get());
  handle.bytes = bytes;
  return memory;
}

Memory CudaDevice::open_shared(const SharedMemoryHandle& handle) {
  cudaIpcMemHandle_t ipc = {};
  std::memcpy(&ipc, handle.key.data(), sizeof ipc);
  void* memory = nullptr;
  const cudaError_t status =
      cudaIpcOpenMemHandle(&memory, ipc, cudaIpcMemLazyEnablePeerAccess);
  if (status != cudaSuccess) {
    throw Error(ExitCode::kUnavailable,
                std::string("opening a peer's GPU memory by CUDA IPC: ") +
                    cudaGetErrorString(status) +
                    "; the ranks' GPUs must have peer access (nvidia-smi topo -p2p r) and share "
                    "one container's IPC namespace");
  }
  return Memory(static_cast<std::byte*>(memory),
                [](std::byte* address) { cudaIpcCloseMemHandle(address); });
}

void CudaDevice::copy(void* to, const void* from, std::size_t bytes) {
  cuda::check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, stream_.get()),
              "copying GPU memory");
  synchronize();
}

void CudaDevice::fill(void* to, int byte, std::size_t bytes) {
  cuda::check(cudaMemsetAsync(to, byte, bytes, stream_.get()), "filling GPU memory");
  synchronize();
}

void CudaDevice::synchronize() {
  cuda::check(cudaStreamSynchronize(stream_.get()), "waiting for the GPU");
}

void CudaDevice::mark(int index) {
  cuda::check(cudaEventRecord(events_[index].get(), stream_.get()), "recording an event");
}

double CudaDevice::elapsed_us(int from, int to) {
  float ms = 0;
  cuda::check(cudaEventElapsedTime(&ms, events_[from].get(), events_[to].get()),
              "reading an event");
  return static_cast<double>(ms) * 1e3;
}

namespace {

class Graph final : public RecordedWork {
 public:
  Graph(cudaGraph_t recorded, cudaStream_t stream) : stream_(stream) {
    const UniqueHandle<cudaGraph_t, cudaGraphDestroy> owned(recorded);
    cudaGraphExec_t graph = nullptr;
    cuda::check(cudaGraphInstantiateWithFlags(&graph, recorded, 0), "making a graph of kernels");
    graph_ = Executable(graph);
    cuda::check(cudaGraphUpload(graph, stream_), "uploading a graph of kernels");
  }
  void launch() override {
    cuda::check(cudaGraphLaunch(graph_.get(), stream_), "launching a graph of kernels");
  }

 private:
  using Executable = UniqueHandle<cudaGraphExec_t, cudaGraphExecDestroy>;
  cudaStream_t stream_;
  Executable graph_;
};

}  // namespace

std::unique_ptr<RecordedWork> CudaDevice::record(const std::function<void()>& work) {
  // Proxies of this process go on using the device: their calls are no business of the recording.
  cuda::check(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal),
              "recording kernels");
  cudaGraph_t graph = nullptr;
  try {
    work();
  } catch (...) {
    if (cudaStreamEndCapture(stream_.get(), &graph) == cudaSuccess) cudaGraphDestroy(graph);
    throw;
  }
  cuda::check(cudaStreamEndCapture(stream_.get(), &graph), "recording kernels");
  return std::make_unique<Graph>(graph, stream_.get());
}

void CudaDevice::use_here() { cuda::check(cudaSetDevice(ordinal_), "selecting a GPU"); }

std::unique_ptr<WordWriter> CudaDevice::word_writer() {
  return std::make_unique<CudaWordWriter>();
}

void CudaDevice::give_up() {
  cudaSetDevice(ordinal_);
  cudaMemsetAsync(raised_.get(), 1, sizeof(std::uint32_t), aside_.get());
}

std::optional<std::string> CudaDevice::pci_bus_id() const {
  char id[32] = {};
  cuda::check(cudaDeviceGetPCIBusId(id, sizeof id, ordinal_), "asking for a GPU's PCI address");
  return id;
}

int CudaDevice::export_dmabuf(std::byte* memory, std::size_t bytes) {
  void* const symbol = cuda::driver_function("cuMemGetHandleForAddressRange", 11070);
  if (symbol == nullptr) {
    throw Error(ExitCode::kUnavailable,
                "exporting GPU memory as dma-buf: this CUDA driver has none; use --mr-mode peermem");
  }
  const auto get_handle = reinterpret_cast<decltype(&cuMemGetHandleForAddressRange)>(symbol);
  int descriptor = -1;
  const CUresult status = get_handle(&descriptor, reinterpret_cast<CUdeviceptr>(memory),
                                     round_up(bytes, kOwnPages),
                                     CU_MEM_RANGE_HANDLE_TYPE_DMA_BUF_FD, 0);
  if (status != CUDA_SUCCESS) {
    throw Error(ExitCode::kUnavailable,
                "exporting GPU memory as dma-buf: CUDA error " +
                    std::to_string(static_cast<int>(status)) +
                    "; the open kernel modules of the driver are needed, or --mr-mode peermem");
  }
  return descriptor;
}

std::string CudaDevice::check_adapter_writes() const {
  int ordering = 0;
  cuda::check(cudaDeviceGetAttribute(&ordering, cudaDevAttrGPUDirectRDMAWritesOrdering, ordinal_),
              "asking how a GPU orders what adapters write");
  if (ordering >= cudaGPUDirectRDMAWritesOrderingAllDevices) return "all devices";
  if (ordering >= cudaGPUDirectRDMAWritesOrderingOwner) return "owner";
  throw Error(ExitCode::kUnavailable,
              "on this machine a kernel may see an adapter's writes to GPU memory out of order; "
              "--transport fifo or hybrid-fifo with --mr-mode host goes through host memory");
}

}  // namespace llep
