// SPDX-License-Identifier: MIT
#include <array>
#include <string>

#include "bench/key_makers.hpp"
#include "bench/option_values.hpp"
#include "bench/transports.hpp"

namespace llep {
namespace {

using Json = OptionJson;

constexpr std::array kFifoWires = {FifoWireChoice::kAuto, FifoWireChoice::kVerbs,
                                   FifoWireChoice::kMpi};
constexpr std::array kSignals = {SignalMode::kWrite, SignalMode::kAtomic};
constexpr std::array kMrModes = {MrMode::kAuto, MrMode::kDmabuf, MrMode::kPeermem, MrMode::kHost};

void add_transport(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kTransport = "Transport";
  keys.push_back(choice({"fifo-wire", "", kTransport, "NAME",
                         "what proxies use: verbs, mpi, auto (verbs if all ranks have a port)"},
                        &O::fifo_wire, kFifoWires));
  keys.push_back(choice_axis({"signal", "", kTransport, "LIST",
                              "of adapters: write, or atomic (needs no ordered writes)"},
                             &O::signals, kSignals));
  keys.push_back(scalar(
      {"fifo-depth", "", kTransport, "N", "descriptors of a proxy's ring, a power of two"},
      &O::fifo_depth, parse_power_of_two, [](int value) { return value; }));
  keys.push_back(int_scalar({"proxy-threads", "", kTransport, "N", "proxy threads of each rank"},
                            &O::proxy_threads, 1, kMaxProxies));
  keys.push_back(scalar(
      {"qps-per-peer", "", kTransport, "N|experts", "channels (queue pairs) to each far peer"},
      &O::qps_per_peer,
      [](const std::string& text) {
        return text == "experts" ? 0 : parse_int(text, 1, kMaxFifoChannels);
      },
      [](int value) { return value == 0 ? Json("experts") : Json(value); }));
  keys.push_back(int_scalar({"ranks-per-node", "", kTransport, "N",
                             "pretend that so many ranks share a node, to test hybrids; 0: real"},
                            &O::ranks_per_node, 0));
}

void add_adapters(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kAdapters = "Adapters (verbs)";
  keys.push_back(axis(
      {"nic-map", "", kAdapters, "LIST",
       "port of each rank of a node, such as mlx5_0,mlx5_1:2; if not given nearest to the GPUs"},
      &O::nic_map, [](const std::string& text) { return text; },
      [](const std::string& name) { return name; }));
  keys.push_back(
      int_scalar({"gid-index", "", kAdapters, "N", "-1: RoCEv2 over IPv4 if there is one"},
                 &O::gid_index, -1));
  // As many bits as address vectors and queue pairs have for them.
  keys.push_back(int_scalar({"sl", "", kAdapters, "N", "service level"}, &O::service_level, 0, 15));
  keys.push_back(
      int_scalar({"tc", "", kAdapters, "N", "traffic class"}, &O::traffic_class, 0, 255));
  keys.push_back(
      int_scalar({"ack-timeout", "", kAdapters, "N",
                  "a peer may be silent for 4.096 us * 2^N, seven times; 0: for ever"},
                 &O::ack_timeout, 0, 31));
  keys.push_back(choice({"mr-mode", "", kAdapters, "NAME",
                         "GPU memory: auto, dmabuf, peermem; host: rows through pinned memory"},
                        &O::mr_mode, kMrModes));
  keys.push_back(scalar(
      {"send-depth", "", kAdapters, "N", "of a queue pair's send queue, a power of two from 64 on"},
      &O::send_depth,
      [](const std::string& text) {
        const int depth = parse_power_of_two(text);
        return depth >= kLeastSendDepth ? depth : parse_int(text, kLeastSendDepth);
      },
      [](int value) { return value; }));
  keys.push_back(scalar(
      {"ring-every", "", kAdapters, "N|tail",
       "ibgda: entries that wait for one doorbell at most; tail: each signal rings"},
      &O::ring_every,
      [](const std::string& text) { return text == "tail" ? 0 : parse_int(text, 1); },
      [](int value) { return value == 0 ? Json("tail") : Json(value); }));
  keys.push_back(on_off({"relaxed-ordering", "", kAdapters, "on|off",
                         "let writes pass each other on PCIe; signals become atomics"},
                        &O::relaxed_ordering));
}

}  // namespace

std::vector<OptionKey> transport_keys() {
  std::vector<OptionKey> keys;
  add_transport(keys);
  add_adapters(keys);
  return keys;
}

}  // namespace llep
