// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/verbs.h>
#include <unistd.h>

#include "common/unique_handle.hpp"

/// Verbs objects. Holders declare them in this order: each lives on those before it.
namespace llep {

/// ibv_dealloc_td has a body of its own in every source file.
inline int close_thread_domain(ibv_td* domain) { return ibv_dealloc_td(domain); }

using UniqueContext = UniqueHandle<ibv_context*, ibv_close_device>;
using UniquePd = UniqueHandle<ibv_pd*, ibv_dealloc_pd>;
using UniqueTd = UniqueHandle<ibv_td*, close_thread_domain>;
using UniqueMr = UniqueHandle<ibv_mr*, ibv_dereg_mr>;
using UniqueCq = UniqueHandle<ibv_cq*, ibv_destroy_cq>;
using UniqueQp = UniqueHandle<ibv_qp*, ibv_destroy_qp>;
using UniqueDescriptor = UniqueHandle<int, ::close, -1>;

}  // namespace llep
