// SPDX-License-Identifier: MIT
#include "tests/softmlx5/sysfs.hpp"

#include <unistd.h>

#include <charconv>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string_view>

#include "tests/softmlx5/device.hpp"
#include "tests/softmlx5/folder.hpp"
#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace {

namespace fs = std::filesystem;

constexpr std::string_view kDeviceFile = "/dev/infiniband/uverbs";
constexpr std::string_view kClass = "/sys/class/infiniband";

bool begins_with(std::string_view text, std::string_view prefix) {
  return text.substr(0, prefix.size()) == prefix;
}

struct Entry {
  const char* name;
  std::string content;
};

void write_all(const fs::path& folder, std::initializer_list<Entry> entries) {
  fs::create_directories(folder);
  for (const Entry& entry : entries) {
    fs::create_directories((folder / entry.name).parent_path());
    std::ofstream(folder / entry.name) << entry.content << '\n';
  }
}

/// "0250:4dff:fe00:0001"
template <class Bytes>
std::string in_words(const Bytes& bytes) {
  std::string text;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    text += fmt::format("{}{:02x}{:02x}", i == 0 ? "" : ":", bytes[i], bytes[i + 1]);
  }
  return text;
}

std::string place_of(int device) {
  return fmt::format("devices/pci0000:{:02x}/0000:{:02x}:00.0", 0x10 + device, 0x17 + device);
}

void write_function(const fs::path& folder) {
  // The class and vendor by which libmlx5 knows its devices.
  write_all(folder, {{"modalias", "pci:v000015B3d00001021sv000015B3sd00000061bc02sc07i00"},
                     {"vendor", "0x15b3"},
                     {"device", "0x1021"},
                     {"subsystem_vendor", "0x15b3"},
                     {"subsystem_device", "0x0061"},
                     {"class", "0x020700"},
                     {"numa_node", "0"},
                     {"max_link_speed", "32.0 GT/s PCIe"},
                     {"max_link_width", "16"},
                     {"current_link_speed", "32.0 GT/s PCIe"},
                     {"current_link_width", "16"}});
}

void write_port(const fs::path& folder, int device) {
  const bool ethernet = options().ethernet;
  write_all(folder, {{"state", "4: ACTIVE"},
                     {"phys_state", "5: LinkUp"},
                     {"rate", "400 Gb/sec (4X NDR)"},
                     {"lid", fmt::format("0x{:x}", lid_of(device))},
                     {"sm_lid", "0x1"},
                     {"sm_sl", "0"},
                     {"lid_mask_count", "0"},
                     {"cap_mask", "0x0"},
                     {"link_layer", ethernet ? "Ethernet" : "InfiniBand"},
                     {"pkeys/0", "0xffff"}});
  for (int i = 0; i < num_gids(); ++i) {
    write_all(folder / "gids", {{std::to_string(i).c_str(), in_words(gid_of(device, i))}});
    if (!ethernet) continue;
    const char* type = is_roce_v2(i) ? "RoCE v2" : "IB/RoCE v1";
    write_all(folder / "gid_attrs/types", {{std::to_string(i).c_str(), type}});
    write_all(folder / "gid_attrs/ndevs", {{std::to_string(i).c_str(), "lo"}});
  }
  fs::create_directories(folder / "counters");
}

void write_device(const fs::path& root, int device) {
  const std::string place = place_of(device);
  const std::string name = device_name(device);
  const std::string uverbs = fmt::format("uverbs{}", device);
  const std::string guid = in_words(guid_of(device));
  write_function(root / place);
  const fs::path ib = root / place / "infiniband" / name;
  write_all(ib, {{"node_type", "1: CA"},
                 {"node_guid", guid},
                 {"sys_image_guid", guid},
                 {"fw_ver", "0.0.0005"},
                 {"hw_rev", "0"},
                 {"hca_type", fmt::format("MT{}", kVendorPart)},
                 {"board_id", "SOFTMLX5"},
                 {"node_desc", "softmlx5"}});
  fs::create_directory_symlink("../..", ib / "device");
  write_port(ib / "ports/1", device);
  const fs::path verbs = root / place / "infiniband_verbs" / uverbs;
  // 1:3 is /dev/null, which stands in for the device file.
  write_all(verbs, {{"dev", "1:3"}, {"ibdev", name}, {"abi_version", "1"}});
  fs::create_directory_symlink("../..", verbs / "device");

  const std::string up = "../../" + place;
  fs::create_directory_symlink(up + "/infiniband/" + name, root / "class/infiniband" / name);
  fs::create_directory_symlink(up + "/infiniband_verbs/" + uverbs,
                               root / "class/infiniband_verbs" / uverbs);
}

void write_tree(const fs::path& root) {
  write_all(root / "class/infiniband_verbs", {{"abi_version", "6"}});
  fs::create_directories(root / "class/infiniband");
  for (int device = 0; device < options().num_devices; ++device) write_device(root, device);
}

}  // namespace

Sysfs::Sysfs()
    : root_(fmt::format("{}/sys-{}-{}", folder().path(), options().ethernet ? "eth" : "ib",
                        options().num_devices)) {}

/// Made aside and renamed: several processes may be doing this at once.
void Sysfs::make() {
  if (!folder().enter() || fs::exists(root_)) return;
  const std::string mine = fmt::format("{}.{}", root_, ::getpid());
  std::error_code error;
  try {
    write_tree(mine);
    fs::rename(mine, root_, error);
  } catch (const std::exception& failure) {
    log_line("describing the devices in {}: {}", mine, failure.what());
  }
  fs::remove_all(mine, error);
}

int Sysfs::device_of(const char* path) const {
  const std::string_view text = path;
  if (!begins_with(text, kDeviceFile)) return -1;
  int device = -1;
  std::from_chars(path + kDeviceFile.size(), path + text.size(), device);
  return device < options().num_devices ? device : -1;
}

const char* Sysfs::redirect(const char* path, std::string& storage) {
  static std::once_flag made;
  if (path == nullptr || *path != '/') return path;
  if (device_of(path) >= 0) return "/dev/null";
  const bool real = begins_with(path, kClass);
  if (!real && !begins_with(path, root_ + "/")) return path;
  std::call_once(made, [this] { make(); });
  if (!real) return path;
  storage = root_ + (path + std::string_view("/sys").size());
  return storage.c_str();
}

Sysfs& sysfs() {
  static auto* const instance = new Sysfs;
  return *instance;
}

}  // namespace softmlx5
