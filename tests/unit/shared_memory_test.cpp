// SPDX-License-Identifier: MIT
// Shared memory of the host executor: between ranks of one process and of several.
#include "common/exec/shared_memory.hpp"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "common/error.hpp"
#include "common/exec/host_device.hpp"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

namespace llep {
namespace {

std::filesystem::path file_of(const SharedMemoryHandle& handle) {
  return "/dev/shm" + std::string(reinterpret_cast<const char*>(handle.key.data()));
}

/// This process's names in /dev/shm.
std::set<std::string> names() {
  const std::string mine = "llep-" + std::to_string(::getpid()) + "-";
  std::set<std::string> all;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (entry.path().filename().string().starts_with(mine)) all.insert(entry.path().filename());
  }
  return all;
}

/// What a forked child returns from `f`.
template <class F>
int in_child(F f) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(f());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(SharedMemory, is_zeroed_and_private_to_the_user) {
  HostDevice device(0, {});
  SharedMemoryHandle handle;
  const Memory memory = device.allocate_shared(100'000, handle);
  EXPECT_EQ(std::count(memory.get(), memory.get() + 100'000, std::byte{0}), 100'000);
  EXPECT_EQ(handle.bytes, 100'000U);
  EXPECT_TRUE(std::filesystem::exists(file_of(handle)));
  const auto mode = std::filesystem::status(file_of(handle)).permissions();
  EXPECT_EQ(mode, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
  EXPECT_EQ(std::filesystem::file_size(file_of(handle)), 100'000U);
  device.close_shared_name(handle);
}

TEST(SharedMemory, ranks_of_one_process_share_the_mapping) {
  HostDevice creator(0, {});
  HostDevice peer(1, {});
  SharedMemoryHandle handle;
  const Memory memory = creator.allocate_shared(4096, handle);
  {
    const Memory opened = peer.open_shared(handle);
    EXPECT_EQ(opened.get(), memory.get());
  }
  memory.get()[4095] = std::byte{1};  // closing the peer's left the creator's mapped
  creator.close_shared_name(handle);
  EXPECT_EQ(peer.open_shared(handle).get(), memory.get());
}

TEST(SharedMemory, another_process_maps_the_same_bytes) {
  SharedMemoryHandle handle;
  const Memory memory = create_shared_memory(8192, handle);
  memory.get()[8000] = std::byte{42};
  handle.process += 1;  // as a process that is not the creator's sees it
  const int code = in_child([&] {
    const Memory mine = open_shared_memory(handle);
    if (mine.get() == memory.get()) return 1;
    if (mine.get()[8000] != std::byte{42}) return 2;
    mine.get()[1] = std::byte{7};
    return 0;
  });
  EXPECT_EQ(code, 0);
  EXPECT_EQ(memory.get()[1], std::byte{7});
  unlink_shared_memory(handle);
}

TEST(SharedMemory, nothing_of_the_name_stays_behind) {
  const auto before = names();
  SharedMemoryHandle handle;
  const Memory memory = create_shared_memory(4096, handle);
  SharedMemoryHandle foreign = handle;
  foreign.process += 1;
  const Memory mapped = open_shared_memory(foreign);
  unlink_shared_memory(handle);
  EXPECT_FALSE(std::filesystem::exists(file_of(handle)));
  EXPECT_EQ(names(), before);
  mapped.get()[9] = std::byte{3};  // mappings outlive the name
  EXPECT_EQ(memory.get()[9], std::byte{3});
  unlink_shared_memory(handle);  // once more does nothing
  EXPECT_THROW(open_shared_memory(foreign), Error);
}

TEST(SharedMemory, a_name_in_use_is_passed_over) {
  SharedMemoryHandle first;
  SharedMemoryHandle second;
  const Memory a = create_shared_memory(64, first);
  const Memory b = create_shared_memory(64, second);
  EXPECT_NE(first.key, second.key);
  EXPECT_NE(a.get(), b.get());
  unlink_shared_memory(first);
  unlink_shared_memory(second);
}

TEST(SharedMemory, an_impossible_size_names_dev_shm_and_leaves_no_name) {
  const auto before = names();
  for (const std::size_t bytes : {std::size_t{1} << 50, std::size_t{1} << 63}) {
    SharedMemoryHandle handle;
    try {
      const Memory memory = create_shared_memory(bytes, handle);
      FAIL() << "created " << bytes << " bytes";
    } catch (const Error& error) {
      const std::string text = error.what();
      EXPECT_NE(text.find("/dev/shm"), std::string::npos) << text;
      EXPECT_NE(text.find(std::to_string(bytes)), std::string::npos) << text;
    }
    unlink_shared_memory(handle);
  }
  EXPECT_EQ(names(), before);
}

TEST(SharedMemory, a_mapping_that_fails_leaves_no_name) {
  if (kSanitized) GTEST_SKIP() << "sanitizers need more address space than the limit below";
  const int code = in_child([] {
    std::size_t pages = 0;  // mapped now, proc(5)
    std::ifstream("/proc/self/statm") >> pages;
    // Room for what the library calls need, none for the mapping.
    const rlim_t most = pages * static_cast<rlim_t>(::getpagesize()) + (rlim_t{32} << 20);
    const rlimit limit{.rlim_cur = most, .rlim_max = most};
    if (::setrlimit(RLIMIT_AS, &limit) != 0) return 77;
    const auto before = names();
    SharedMemoryHandle handle;
    try {
      const Memory memory = create_shared_memory(std::size_t{128} << 20, handle);
      return 1;
    } catch (const Error&) {
    }
    const int left = names() == before ? 0 : 2;
    std::filesystem::remove(file_of(handle));
    return left;
  });
  EXPECT_EQ(code, 0);
}

}  // namespace
}  // namespace llep
