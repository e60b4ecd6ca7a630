// SPDX-License-Identifier: MIT
// In place of ibgda_transport.cpp where there is no libmlx5.
#include "transport/ibgda/ibgda_transport.hpp"

namespace llep {

namespace {

constexpr const char* kWhy =
    "ibgda: this build has no libmlx5: install libibverbs-dev (rdma-core) and configure with "
    "-DLLEP_VERBS=on";

}  // namespace

std::optional<std::string> why_no_ibgda() { return kWhy; }

std::unique_ptr<Transport> make_ibgda_transport(const IbgdaOptions& /*options*/) {
  return same_everywhere(
      []() -> std::unique_ptr<Transport> { throw Error(ExitCode::kUnavailable, kWhy); });
}

}  // namespace llep
