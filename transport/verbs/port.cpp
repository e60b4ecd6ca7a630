// SPDX-License-Identifier: MIT
#include "transport/verbs/port.hpp"

#include <arpa/inet.h>
#include <fmt/format.h>
#if LLEP_HAS_MLX5
#include <infiniband/mlx5dv.h>
#endif

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>

#include "common/error.hpp"

namespace llep {

namespace {

using DeviceList = std::unique_ptr<ibv_device*, decltype(&ibv_free_device_list)>;

/// Ends with a null pointer.
DeviceList get_devices() {
  int count = 0;
  DeviceList devices(ibv_get_device_list(&count), ibv_free_device_list);
  if (!devices) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("verbs: ibv_get_device_list: {}; the kernel's RDMA modules are needed "
                            "(modprobe ib_uverbs)",
                            std::strerror(errno)));
  }
  if (count == 0) {
    throw Error(ExitCode::kUnavailable,
                "verbs: this machine has no RDMA device; look at ibv_devices, at the adapter's "
                "driver, and in containers at /dev/infiniband");
  }
  return devices;
}

UniqueContext open_device(ibv_device* device) {
  UniqueContext context(ibv_open_device(device));
  if (!context) {
    throw Error(ExitCode::kUnavailable,
                fmt::format("verbs: opening {}: {}; may this user open /dev/infiniband/uverbs*?",
                            ibv_get_device_name(device), std::strerror(errno)));
  }
  return context;
}

void check(int error, const std::string& doing) {
  if (error == 0) return;
  throw Error(ExitCode::kInternal, fmt::format("verbs: {}: {}", doing, std::strerror(error)));
}

/// "400 Gb/sec (4X NDR)" in sysfs.
double read_gigabits(const std::string& device, int port) {
  double gigabits = 0;
  std::ifstream(fmt::format("/sys/class/infiniband/{}/ports/{}/rate", device, port)) >> gigabits;
  return gigabits;
}

std::string why_unusable(const ibv_device& device, const ibv_port_attr& port) {
  if (device.transport_type != IBV_TRANSPORT_IB) return "neither InfiniBand nor RoCE";
  if (port.state != IBV_PORT_ACTIVE) return ibv_port_state_str(port.state);
  return {};
}

/// Whether kernels can drive its queues.
bool is_mlx5([[maybe_unused]] ibv_device* device) {
#if LLEP_HAS_MLX5
  return mlx5dv_is_supported(device);
#else
  return false;
#endif
}

void add_ports(ibv_device* device, std::vector<Port>& ports) {
  const std::string name = ibv_get_device_name(device);
  const UniqueContext context = open_device(device);
  ibv_device_attr limits = {};
  check(ibv_query_device(context.get(), &limits), "asking device " + name);
  for (int number = 1; number <= limits.phys_port_cnt; ++number) {
    ibv_port_attr attributes = {};
    check(ibv_query_port(context.get(), static_cast<std::uint8_t>(number), &attributes),
          fmt::format("asking {} port {}", name, number));
    ports.push_back({.device = name,
                     .number = number,
                     .unusable = why_unusable(*device, attributes),
                     .gigabits = read_gigabits(name, number),
                     .place = place_of("/sys/class/infiniband/" + name + "/device"),
                     .is_mlx5 = is_mlx5(device)});
  }
}

std::vector<ibv_gid_entry> gids_of(ibv_context* context, int port) {
  std::vector<ibv_gid_entry> all(1024);
  const auto count = ibv_query_gid_table(context, all.data(), all.size(), 0);
  if (count < 0) check(static_cast<int>(-count), "reading the GID table");
  all.resize(static_cast<std::size_t>(count));
  std::erase_if(all,
                [&](const ibv_gid_entry& gid) { return static_cast<int>(gid.port_num) != port; });
  return all;
}

/// ::ffff:a.b.c.d
bool is_ipv4(const ibv_gid& gid) {
  constexpr std::array<std::uint8_t, 12> kPrefix = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  return std::equal(kPrefix.begin(), kPrefix.end(), gid.raw);
}
bool is_link_local(const ibv_gid& gid) { return gid.raw[0] == 0xfe && (gid.raw[1] & 0xc0) == 0x80; }

/// Larger is better; 0: not to be taken unasked.
int rank_of(const ibv_gid_entry& gid, bool ethernet) {
  if (!ethernet) return gid.gid_index == 0 ? 1 : 0;
  if (gid.gid_type != IBV_GID_TYPE_ROCE_V2) return 0;
  return is_ipv4(gid.gid) ? 3 : is_link_local(gid.gid) ? 1 : 2;
}

}  // namespace

std::string Port::name() const {
  return number == 1 ? device : fmt::format("{}:{}", device, number);
}

std::vector<Port> list_ports() {
  std::vector<Port> ports;
  const DeviceList devices = get_devices();
  for (ibv_device** device = devices.get(); *device != nullptr; ++device) {
    add_ports(*device, ports);
  }
  std::sort(ports.begin(), ports.end(), [](const Port& a, const Port& b) {
    return std::pair(a.device, a.number) < std::pair(b.device, b.number);
  });
  return ports;
}

std::vector<Port> usable_ports() {
  std::vector<Port> ports = list_ports();
  std::string reasons;
  for (const Port& port : ports) {
    reasons += fmt::format("{}{} is {}", reasons.empty() ? "" : ", ", port.name(), port.unusable);
  }
  std::erase_if(ports, [](const Port& port) { return !port.unusable.empty(); });
  if (ports.empty()) {
    throw Error(ExitCode::kUnavailable, "verbs: no port can be used: " + reasons +
                                            "; look at cable, switch and subnet "
                                            "manager, for RoCE at the network interface (ip link)");
  }
  return ports;
}

ibv_gid_entry choose_gid(std::span<const ibv_gid_entry> gids, bool ethernet, int wanted) {
  const ibv_gid_entry* best = nullptr;
  int best_rank = 0;
  std::string there_are;
  for (const ibv_gid_entry& gid : gids) {
    there_are += (there_are.empty() ? "" : ", ") + to_string(gid);
    const int rank =
        wanted >= 0 ? static_cast<int>(gid.gid_index) == wanted : rank_of(gid, ethernet);
    if (rank <= best_rank) continue;
    best_rank = rank;
    best = &gid;
  }
  if (best != nullptr) return *best;
  throw Error(ExitCode::kUnavailable,
              fmt::format("verbs: choosing a GID: {}; there are: {}",
                          wanted >= 0 ? fmt::format("index {} is empty", wanted)
                          : ethernet  ? "none is of RoCEv2: give the interface an IP address, or "
                                        "choose one with --gid-index"
                                      : "index 0 is empty: is a subnet manager running?",
                          there_are.empty() ? "none" : there_are));
}

std::string to_string(const ibv_gid_entry& gid) {
  std::array<char, INET6_ADDRSTRLEN> address = {};
  if (is_ipv4(gid.gid)) {
    inet_ntop(AF_INET, gid.gid.raw + 12, address.data(), address.size());
  } else {
    inet_ntop(AF_INET6, gid.gid.raw, address.data(), address.size());
  }
  const char* type = gid.gid_type == IBV_GID_TYPE_ROCE_V2   ? "RoCEv2"
                     : gid.gid_type == IBV_GID_TYPE_ROCE_V1 ? "RoCEv1"
                                                            : "InfiniBand";
  return fmt::format("GID {} ({} {})", gid.gid_index, type, address.data());
}

std::optional<std::string> VerbsDevice::stand_in() const {
  constexpr std::uint32_t kRxeVendor = 0xffffff;  // Linux, drivers/infiniband/sw/rxe/rxe_param.h
  if (limits.vendor_id == kRxeVendor) return "rxe";
  // tests/softmlx5: what stands in its board_id, which no vendor's begins with.
  std::string board;
  std::ifstream(fmt::format("/sys/class/infiniband/{}/board_id",
                            ibv_get_device_name(context.get()->device))) >>
      board;
  if (board.starts_with("SOFT")) return "softmlx5";
  return std::nullopt;
}

std::string VerbsDevice::description() const {
  return fmt::format("{} port {} {}", ibv_get_device_name(context.get()->device), port_number,
                     to_string(gid));
}

std::string VerbsDevice::adapter() const {
  return fmt::format("vendor {:#x} part {}, {}, {}", limits.vendor_id, limits.vendor_part_id,
                     ethernet() ? "Ethernet" : "InfiniBand",
                     gigabits > 0 ? fmt::format("{} Gb/s", gigabits) : "unknown rate");
}

VerbsDevice open_port(const Port& port, int gid_index) {
  const DeviceList devices = get_devices();
  ibv_device** device = devices.get();
  while (*device != nullptr && port.device != ibv_get_device_name(*device)) ++device;
  if (*device == nullptr) {
    throw Error(ExitCode::kUnavailable, "verbs: " + port.device + " is gone");
  }
  VerbsDevice opened{
      .name = port.name(), .place = port.place, .context = open_device(*device), .pd = {}};
  ibv_context* context = opened.context.get();
  opened.port_number = port.number;
  opened.gigabits = port.gigabits;
  check(ibv_query_device(context, &opened.limits), "asking device " + port.device);
  check(ibv_query_port(context, static_cast<std::uint8_t>(port.number), &opened.port),
        "asking port " + port.name());
  opened.gid = choose_gid(gids_of(context, port.number), opened.ethernet(), gid_index);
  opened.pd = UniquePd(ibv_alloc_pd(context));
  if (!opened.pd) check(errno, "making a protection domain on " + port.name());
  return opened;
}

}  // namespace llep
