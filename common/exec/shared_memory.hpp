// SPDX-License-Identifier: MIT
#pragma once

#include "common/exec/device.hpp"

namespace llep {

/// POSIX shared memory of mode 0600, zeroed and really allocated: a full /dev/shm is an Error here
/// and not a bus error later (posix_fallocate(3)).
Memory create_shared_memory(std::size_t bytes, SharedMemoryHandle& handle);

/// Maps what another rank created. A rank of the same process gets the creator's own mapping, so
/// that thread sanitizers see all ranks touch the same addresses.
Memory open_shared_memory(const SharedMemoryHandle& handle);

/// Removes the name; mappings stay valid.
void unlink_shared_memory(const SharedMemoryHandle& handle);

}  // namespace llep
