// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/unique_handle.hpp"

namespace llep {

/// What NVML told of a GPU in all samples of a run. What it did not tell is unknown. Plain data,
/// gathered.
struct GpuHealth {
  // While the clocks were those of work.
  std::optional<unsigned> sm_mhz_min = {};
  std::optional<unsigned> sm_mhz_max = {};
  std::optional<unsigned> mem_mhz = {};                    // least
  std::optional<std::uint64_t> clocks_event_reasons = {};  // what limited them, nvml.h's bits

  std::optional<unsigned> sm_mhz_limit = {};  // of the card, whatever is set
  std::optional<bool> ecc = {};
  std::optional<std::uint64_t> ecc_errors = {};  // uncorrected, since the driver was loaded
  std::optional<unsigned> other_processes = {};  // most at once, this run's ranks left out
  std::optional<unsigned> temperature_c_max = {};
  std::optional<double> power_w_max = {};
};

/// nvidia-smi's words for bits of nvml.h ("sw_power_cap"); a bit without one in hexadecimal.
std::vector<std::string> clocks_event_words(std::uint64_t reasons);
/// Those that take clocks away because of heat or power. Clocks that somebody set, a boost group's,
/// a display's, and those of an idle GPU are not throttled.
std::uint64_t throttling(std::uint64_t reasons);

/// Which of a GPU's processes are this run's.
struct OwnProcesses {
  std::vector<unsigned> of_node =
      {};  // process ids of its ranks on this node, this one's among them
  unsigned this_process = 0;
  unsigned num_on_gpu = 1;  // ranks
};

/// Asks NVML for a GPU's state; changes nothing. A machine without NVML, functions that it lacks
/// and queries that fail leave things unknown and are no errors.
class GpuMonitor {
 public:
  /// pci_bus_id: "0000:3b:00.0". Looks for the first time, before any work.
  GpuMonitor(const std::string& pci_bus_id, OwnProcesses own,
             const char* library = "libnvidia-ml.so.1");
  ~GpuMonitor();
  GpuMonitor(const GpuMonitor&) = delete;
  GpuMonitor& operator=(const GpuMonitor&) = delete;

  /// Right after work, before the clocks fall; takes milliseconds.
  void sample();
  /// The NVIDIA driver's version ("580.95.05"); nothing: no NVML.
  std::optional<std::string> driver() const;
  /// Nothing: no NVML, or it does not know the GPU.
  const std::optional<GpuHealth>& health() const { return health_; }

 private:
  template <class... Args>
  int call(const char* function, Args... args) const;
  template <class T, class... Kind>
  std::optional<T> ask(const char* function, Kind... kind) const;
  void look();
  std::optional<unsigned> other_processes() const;

  static void close_library(void* library) noexcept;

  OwnProcesses own_;
  UniqueHandle<void*, close_library> library_;
  bool initialised_ = false;
  void* gpu_ = nullptr;  // nvmlDevice_t
  std::optional<GpuHealth> health_;
};

}  // namespace llep
