// SPDX-License-Identifier: MIT
// The functions of the C library that the twin stands in for. Their C++ names differ from those
// that programs link to: no header's declaration (attributes, inline wrappers) gets in the way.
#include <dirent.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <rdma/rdma_user_ioctl_cmds.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "tests/softmlx5/adapter.hpp"
#include "tests/softmlx5/folder.hpp"
#include "tests/softmlx5/options.hpp"
#include "tests/softmlx5/sysfs.hpp"
#include "tests/softmlx5/uapi.hpp"

namespace softmlx5 {

namespace {

// Constant-initialised: some hooks run before any constructor, and inside replaced mallocs.
std::atomic<bool> ready{false};
std::atomic<pid_t> device_opener{0};  // a forked child has no progress thread: nothing is its own

/// Whether this process opened a device: only then may a descriptor be the twin's.
bool in_use() { return device_opener != 0 && device_opener == ::getpid(); }

/// The function of this name behind this library.
template <class Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

const char* redirect(const char* path, std::string& storage) {
  return ready ? sysfs().redirect(path, storage) : path;
}

int device_of(const char* path) { return ready && path != nullptr ? sysfs().device_of(path) : -1; }

int open_device(int device, int flags) {
  device_opener = ::getpid();
  return adapter().open_file(device, flags);
}

using Open = int(const char*, int, ...);

int open_path(Open* next_open, const char* path, int flags, mode_t mode) {
  const int device = device_of(path);
  if (device >= 0) return open_device(device, flags);
  std::string storage;
  return next_open(redirect(path, storage), flags, mode);
}

bool has_mode(int flags) { return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE; }

void* map(void* address, std::size_t bytes, int protection, int flags, int descriptor,
          off_t offset) {
  static auto* const next_map = next<decltype(::mmap)>("mmap");
  // No lock: libcuda maps files with its own locks held, and the progress thread calls it while it
  // holds ours.
  if (descriptor >= 0 && in_use()) {
    if (DeviceFile* file = adapter().find_file(descriptor)) {
      return file->map(address, bytes, protection, flags, static_cast<std::uint64_t>(offset));
    }
  }
  return next_map(address, bytes, protection, flags, descriptor, offset);
}

/// MPI's own transports would take the twin for a fast network.
void keep_mpi_off() {
  const struct {
    const char* name;
    const char* value;
  } settings[] = {{"OMPI_MCA_pml", "^ucx"}, {"OMPI_MCA_osc", "^ucx"},
                  {"OMPI_MCA_mtl", "^ofi"}, {"OMPI_MCA_btl", "^openib,ofi,uct"},
                  {"UCX_TLS", "^ib"},       {"FI_PROVIDER", "^verbs"}};
  for (const auto& setting : settings) ::setenv(setting.name, setting.value, 0);
}

[[gnu::constructor]] void begin() {
  ::setenv("SYSFS_PATH", sysfs().root().c_str(), 1);
  keep_mpi_off();
  ready = true;
}

[[gnu::destructor]] void end() {
  if (in_use()) adapter().stop();
  folder().leave();
}

}  // namespace

extern "C" {

int hook_open(const char* path, int flags, ...) asm("open");
int hook_open64(const char* path, int flags, ...) asm("open64");
int hook_open_2(const char* path, int flags) asm("__open_2");
int hook_open64_2(const char* path, int flags) asm("__open64_2");
int hook_close(int descriptor) asm("close");
int hook_stat(const char* path, struct stat* result) asm("stat");
int hook_stat64(const char* path, struct stat64* result) asm("stat64");
int hook_lstat(const char* path, struct stat* result) asm("lstat");
int hook_lstat64(const char* path, struct stat64* result) asm("lstat64");
int hook_access(const char* path, int mode) asm("access");
DIR* hook_opendir(const char* path) asm("opendir");
FILE* hook_fopen(const char* path, const char* mode) asm("fopen");
FILE* hook_fopen64(const char* path, const char* mode) asm("fopen64");
ssize_t hook_readlink(const char* path, char* result, std::size_t bytes) asm("readlink");
char* hook_realpath(const char* path, char* result) asm("realpath");
int hook_socket(int domain, int type, int protocol) asm("socket");
int hook_ioctl(int descriptor, unsigned long request, ...) asm("ioctl");
void* hook_mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                off_t offset) asm("mmap");
void* hook_mmap64(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                  off_t offset) asm("mmap64");

int hook_open(const char* path, int flags, ...) {
  static auto* const next_open = next<Open>("open");
  mode_t mode = 0;
  if (has_mode(flags)) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return open_path(next_open, path, flags, mode);
}

int hook_open64(const char* path, int flags, ...) {
  static auto* const next_open = next<Open>("open64");
  mode_t mode = 0;
  if (has_mode(flags)) {
    va_list arguments;
    va_start(arguments, flags);
    mode = va_arg(arguments, mode_t);
    va_end(arguments);
  }
  return open_path(next_open, path, flags, mode);
}

int hook_open_2(const char* path, int flags) { return hook_open(path, flags); }
int hook_open64_2(const char* path, int flags) { return hook_open64(path, flags); }

int hook_close(int descriptor) {
  static auto* const next_close = next<decltype(::close)>("close");
  if (descriptor >= 0 && in_use()) adapter().close(descriptor);
  return next_close(descriptor);
}

int hook_stat(const char* path, struct stat* result) {
  static auto* const next_stat = next<int(const char*, struct stat*)>("stat");
  std::string storage;
  return next_stat(redirect(path, storage), result);
}

int hook_stat64(const char* path, struct stat64* result) {
  static auto* const next_stat = next<int(const char*, struct stat64*)>("stat64");
  std::string storage;
  return next_stat(redirect(path, storage), result);
}

int hook_lstat(const char* path, struct stat* result) {
  static auto* const next_stat = next<int(const char*, struct stat*)>("lstat");
  std::string storage;
  return next_stat(redirect(path, storage), result);
}

int hook_lstat64(const char* path, struct stat64* result) {
  static auto* const next_stat = next<int(const char*, struct stat64*)>("lstat64");
  std::string storage;
  return next_stat(redirect(path, storage), result);
}

int hook_access(const char* path, int mode) {
  static auto* const next_access = next<decltype(::access)>("access");
  std::string storage;
  return next_access(redirect(path, storage), mode);
}

DIR* hook_opendir(const char* path) {
  static auto* const next_opendir = next<decltype(::opendir)>("opendir");
  std::string storage;
  return next_opendir(redirect(path, storage));
}

FILE* hook_fopen(const char* path, const char* mode) {
  static auto* const next_fopen = next<decltype(::fopen)>("fopen");
  std::string storage;
  return next_fopen(redirect(path, storage), mode);
}

FILE* hook_fopen64(const char* path, const char* mode) {
  static auto* const next_fopen = next<decltype(::fopen)>("fopen64");
  std::string storage;
  return next_fopen(redirect(path, storage), mode);
}

ssize_t hook_readlink(const char* path, char* result, std::size_t bytes) {
  static auto* const next_readlink = next<decltype(::readlink)>("readlink");
  std::string storage;
  return next_readlink(redirect(path, storage), result, bytes);
}

char* hook_realpath(const char* path, char* result) {
  static auto* const next_realpath = next<decltype(::realpath)>("realpath");
  std::string storage;
  return next_realpath(redirect(path, storage), result);
}

/// On a kernel with an RDMA core, asking it by netlink would find its devices, or none, and never
/// the twin's: refused, libibverbs reads sysfs instead.
int hook_socket(int domain, int type, int protocol) {
  static auto* const next_socket = next<decltype(::socket)>("socket");
  if (domain == AF_NETLINK && protocol == NETLINK_RDMA) {
    errno = EPROTONOSUPPORT;
    return -1;
  }
  return next_socket(domain, type, protocol);
}

int hook_ioctl(int descriptor, unsigned long request, ...) {
  static auto* const next_ioctl = next<int(int, unsigned long, ...)>("ioctl");
  va_list arguments;
  va_start(arguments, request);
  void* argument = va_arg(arguments, void*);
  va_end(arguments);
  if (request == RDMA_VERBS_IOCTL && in_use()) {
    const Adapter::Guard guard(adapter());
    if (DeviceFile* file = adapter().find_file(descriptor)) {
      Attributes attributes(static_cast<ib_uverbs_ioctl_hdr*>(argument));
      errno = call(*file, attributes);
      return errno == 0 ? 0 : -1;
    }
  }
  return next_ioctl(descriptor, request, argument);
}

void* hook_mmap(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                off_t offset) {
  return map(address, bytes, protection, flags, descriptor, offset);
}

void* hook_mmap64(void* address, std::size_t bytes, int protection, int flags, int descriptor,
                  off_t offset) {
  return map(address, bytes, protection, flags, descriptor, offset);
}

}  // extern "C"

}  // namespace softmlx5
