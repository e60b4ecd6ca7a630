// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>

#include "transport/verbs/memory.hpp"
#include "transport/verbs/port.hpp"

namespace llep {

/// Throws Error(kUnavailable): "verbs: <doing>: <what errno says>; <remedy>".
[[noreturn]] void fail_verbs(const std::string& doing, int error, const std::string& remedy = "");

/// What peers must know of a rank to connect with it; plain data, exchanged.
struct Endpoint {
  ibv_gid gid = {};
  std::uint64_t heap_address = 0;
  std::uint32_t heap_rkey = 0;
  std::uint32_t first_psn = 0;  // plus a queue pair's number: of its first packet
  std::uint16_t lid = 0;
  std::uint8_t link_layer = 0;
  std::uint8_t mtu = 0;
  std::uint8_t reads_under_way = 0;  // atomics too
};
Endpoint endpoint_of(const VerbsDevice& device, const RegisteredMemory& heap);

/// A reliable connected queue pair in state INIT, for writes and, if signals are such, atomics.
/// pd: the device's, or a parent domain over it.
UniqueQp create_qp(const VerbsDevice& device, ibv_pd* pd, ibv_cq* cq, const VerbsOptions& options);

/// One end of a connection.
struct Connection {
  Endpoint mine;
  Endpoint peer;
  std::uint32_t peer_qpn = 0;
};

/// Brings it to RTS. No peer may send before all have done this.
void connect_qp(ibv_qp* qp, const VerbsDevice& device, const VerbsOptions& options,
                const Connection& connection);

/// To the error state, as a link that breaks: fault injection.
void end_qp(ibv_qp* qp);

}  // namespace llep
