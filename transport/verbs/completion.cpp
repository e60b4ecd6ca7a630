// SPDX-License-Identifier: MIT
#include "transport/verbs/completion.hpp"

#include <fmt/format.h>

namespace llep {

namespace {

const char* what_to_look_at(ibv_wc_status status) {
  switch (status) {
    case IBV_WC_RETRY_EXC_ERR:
    case IBV_WC_RESP_TIMEOUT_ERR:
      return "the peer does not answer: is its process alive? Then cable and port (ibv_devinfo), "
             "the GID (--gid-index) and its route, MTU, flow control, a firewall (UDP port 4791)";
    case IBV_WC_REM_ACCESS_ERR:
      return "the peer's adapter refused key, range or right: has the peer ended, or freed its "
             "heap?";
    case IBV_WC_RNR_RETRY_EXC_ERR:
      return "the peer has no receive posted, which writes do not need: do all ranks run the same "
             "build?";
    case IBV_WC_WR_FLUSH_ERR:
      return "the queue pair was in the error state already: look for an earlier failure here or "
             "at the peer, and for port or device resets (dmesg)";
    case IBV_WC_LOC_PROT_ERR:
    case IBV_WC_LOC_LEN_ERR:
    case IBV_WC_LOC_QP_OP_ERR:
      return "this rank's work request was wrong: its source is outside the registered heap, or "
             "too long";
    case IBV_WC_REM_INV_REQ_ERR:
    case IBV_WC_REM_OP_ERR:
      return "the peer's adapter cannot carry this out: are atomics supported and permitted there "
             "(--signal write)?";
    case IBV_WC_FATAL_ERR: return "the adapter failed: dmesg";
    default: return "dmesg on both nodes may say more";
  }
}

}  // namespace

std::string describe_failure(const ibv_wc& completion) {
  return fmt::format("completion status {} ({}), vendor syndrome {:#x}: {}",
                     static_cast<int>(completion.status), ibv_wc_status_str(completion.status),
                     completion.vendor_err, what_to_look_at(completion.status));
}

}  // namespace llep
