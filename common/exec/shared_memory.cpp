// SPDX-License-Identifier: MIT
#include "common/exec/shared_memory.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <random>

#include "common/error.hpp"
#include "common/unique_handle.hpp"

namespace llep {

namespace {

using FileDescriptor = UniqueHandle<int, ::close, -1>;

/// Tells processes apart even where containers give two of them the same pid.
std::int64_t this_process() {
  static const auto id = static_cast<std::int64_t>(
      static_cast<std::uint64_t>(std::random_device()()) << 32 | std::random_device()());
  return id;
}

const char* name_of(const SharedMemoryHandle& handle) {
  return reinterpret_cast<const char*>(handle.key.data());
}

[[noreturn]] void fail(const std::string& doing, int error, const std::string& remedy) {
  throw Error(ExitCode::kInternal, doing + ": " + std::strerror(error) + "; " + remedy);
}

FileDescriptor create_named(SharedMemoryHandle& handle) {
  static std::atomic<int> counter = 0;
  for (int attempt = 0; attempt < 64; ++attempt) {
    const std::string name = "/llep-" + std::to_string(::getpid()) + "-" +
                             std::to_string(counter.fetch_add(1));
    FileDescriptor file(::shm_open(name.c_str(), O_CREAT | O_EXCL | O_RDWR, 0600));
    if (file) {
      std::memcpy(handle.key.data(), name.c_str(), name.size() + 1);
      return file;
    }
    if (errno != EEXIST) break;  // a name left by a killed run with our pid: take the next
  }
  fail("creating shared memory", errno, "is /dev/shm mounted and writable?");
}

Memory map(int file, std::size_t bytes) {
  void* address = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (address == MAP_FAILED) fail("mapping shared memory", errno, "use smaller shapes");
  return Memory(static_cast<std::byte*>(address),
                [bytes](std::byte* memory) { ::munmap(memory, bytes); });
}

}  // namespace

Memory create_shared_memory(std::size_t bytes, SharedMemoryHandle& handle) {
  const FileDescriptor file = create_named(handle);
  const int error = ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes));
  if (error != 0) {
    ::shm_unlink(name_of(handle));
    fail("allocating " + std::to_string(bytes) + " bytes of shared memory in /dev/shm", error,
         "enlarge /dev/shm or use smaller shapes");
  }
  Memory memory;
  try {
    memory = map(file.get(), bytes);
  } catch (...) {
    ::shm_unlink(name_of(handle));
    throw;
  }
  handle.process = this_process();
  handle.address = reinterpret_cast<std::uint64_t>(memory.get());
  handle.bytes = bytes;
  return memory;
}

Memory open_shared_memory(const SharedMemoryHandle& handle) {
  if (handle.process == this_process()) {
    return Memory(reinterpret_cast<std::byte*>(handle.address), [](std::byte* /*owned*/) {});
  }
  const FileDescriptor file(::shm_open(name_of(handle), O_RDWR, 0));
  if (!file) {
    fail(std::string("opening a peer's shared memory ") + name_of(handle), errno,
         "do all ranks of the node share /dev/shm and the user?");
  }
  return map(file.get(), handle.bytes);
}

void unlink_shared_memory(const SharedMemoryHandle& handle) {
  if (handle.bytes != 0) ::shm_unlink(name_of(handle));
}

}  // namespace llep
