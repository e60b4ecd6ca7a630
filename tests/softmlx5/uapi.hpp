// SPDX-License-Identifier: MIT
#pragma once

#include "tests/softmlx5/adapter.hpp"
#include "tests/softmlx5/attributes.hpp"

/// What the kernel answers to libibverbs and libmlx5. Each returns an errno, 0 for success; the
/// adapter's lock is held.
namespace softmlx5 {

int call(DeviceFile& file, Attributes& call);

/// Commands in the older form, inside the newer one (uverbs method INVOKE_WRITE).
int invoke_write(DeviceFile& file, Attributes& call);

int create_cq(DeviceFile& file, Attributes& call);
int destroy_cq(DeviceFile& file, Attributes& call);
int create_qp(DeviceFile& file, Attributes& call);
int destroy_qp(DeviceFile& file, Attributes& call);
int register_memory(DeviceFile& file, Attributes& call);
int register_dmabuf(DeviceFile& file, Attributes& call);
int deregister_memory(DeviceFile& file, Attributes& call);

}  // namespace softmlx5
