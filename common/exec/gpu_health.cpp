// SPDX-License-Identifier: MIT
#include "common/exec/gpu_health.hpp"

#include <dlfcn.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace llep {
namespace {

// nvml.h, which machines without CUDA do not have.
constexpr int kSuccess = 0;            // NVML_SUCCESS
constexpr int kInsufficientSize = 7;   // NVML_ERROR_INSUFFICIENT_SIZE
constexpr int kFunctionNotFound = 13;  // NVML_ERROR_FUNCTION_NOT_FOUND
constexpr int kClockSm = 1;            // NVML_CLOCK_SM
constexpr int kClockMem = 2;           // NVML_CLOCK_MEM
constexpr int kTemperatureGpu = 0;     // NVML_TEMPERATURE_GPU
constexpr int kUncorrected = 1;        // NVML_MEMORY_ERROR_TYPE_UNCORRECTED
constexpr int kVolatile = 0;           // NVML_VOLATILE_ECC
constexpr int kEnabled = 1;            // NVML_FEATURE_ENABLED

/// nvmlProcessInfo_v2_t, which nvmlDeviceGetComputeRunningProcesses_v3 fills.
struct ProcessInfo {
  unsigned pid;
  unsigned long long used_gpu_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};
static_assert(sizeof(ProcessInfo) == 24);

/// nvmlClocksEventReason*, before driver 535 nvmlClocksThrottleReason*.
struct Reason {
  std::uint64_t bit;
  const char* word;
  bool throttles;
};
constexpr std::array<Reason, 9> kReasons = {{
    {0x001, "gpu_idle", false},
    {0x002, "applications_clocks_setting", false},
    {0x004, "sw_power_cap", true},
    {0x008, "hw_slowdown", true},
    {0x010, "sync_boost", false},
    {0x020, "sw_thermal_slowdown", true},
    {0x040, "hw_thermal_slowdown", true},
    {0x080, "hw_power_brake_slowdown", true},
    {0x100, "display_clock_setting", false},
}};

/// What was unknown becomes known; what is known stays so.
template <class T, class Value, class Choose>
void merge(std::optional<T>& all, const std::optional<Value>& value, Choose choose) {
  if (!value) return;
  const T known = static_cast<T>(*value);
  all = all ? choose(*all, known) : known;
}

constexpr auto kLeast = [](auto a, auto b) { return std::min(a, b); };
constexpr auto kMost = [](auto a, auto b) { return std::max(a, b); };
constexpr auto kUnion = [](auto a, auto b) { return a | b; };

}  // namespace

std::vector<std::string> clocks_event_words(std::uint64_t reasons) {
  std::vector<std::string> words;
  for (const Reason& reason : kReasons) {
    if ((reasons & reason.bit) != 0) words.emplace_back(reason.word);
    reasons &= ~reason.bit;
  }
  for (std::uint64_t bit = 1; reasons != 0; bit <<= 1) {
    if ((reasons & bit) != 0) words.push_back(fmt::format("{:#x}", bit));
    reasons &= ~bit;
  }
  return words;
}

std::uint64_t throttling(std::uint64_t reasons) {
  std::uint64_t mask = 0;
  for (const Reason& reason : kReasons) mask |= reason.throttles ? reason.bit : 0;
  return reasons & mask;
}

void GpuMonitor::close_library(void* library) noexcept { ::dlclose(library); }

/// `args` have just the types that nvml.h gives the function's parameters; its enums are int.
template <class... Args>
int GpuMonitor::call(const char* function, Args... args) const {
  using Function = int (*)(Args...);
  const auto found = reinterpret_cast<Function>(::dlsym(library_.get(), function));
  return found == nullptr ? kFunctionNotFound : found(args...);
}

/// Of nvmlReturn_t function(nvmlDevice_t, kind..., T* answer).
template <class T, class... Kind>
std::optional<T> GpuMonitor::ask(const char* function, Kind... kind) const {
  T answer = {};
  if (call(function, gpu_, kind..., &answer) != kSuccess) return std::nullopt;
  return answer;
}

GpuMonitor::GpuMonitor(const std::string& pci_bus_id, OwnProcesses own, const char* library)
    : own_(std::move(own)), library_(::dlopen(library, RTLD_NOW | RTLD_LOCAL)) {
  if (!library_) return;
  initialised_ = call("nvmlInit_v2") == kSuccess;
  if (!initialised_ ||
      call("nvmlDeviceGetHandleByPciBusId_v2", pci_bus_id.c_str(), &gpu_) != kSuccess) {
    return;
  }
  health_.emplace();
  health_->sm_mhz_limit = ask<unsigned>("nvmlDeviceGetMaxClockInfo", kClockSm);
  int ecc = 0;  // now; the answer proper is what holds after the next reboot
  if (ask<int>("nvmlDeviceGetEccMode", &ecc)) health_->ecc = ecc == kEnabled;
  look();
}

GpuMonitor::~GpuMonitor() {
  if (initialised_) call("nvmlShutdown");
}

std::optional<std::string> GpuMonitor::driver() const {
  std::array<char, 80> version = {};  // NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE
  const bool told = initialised_ && call("nvmlSystemGetDriverVersion", version.data(),
                                         static_cast<unsigned>(version.size())) == kSuccess;
  return told ? std::optional<std::string>(version.data()) : std::nullopt;
}

void GpuMonitor::sample() {
  if (!health_) return;
  auto reasons = ask<unsigned long long>("nvmlDeviceGetCurrentClocksEventReasons");
  if (!reasons) reasons = ask<unsigned long long>("nvmlDeviceGetCurrentClocksThrottleReasons");
  merge(health_->clocks_event_reasons, reasons, kUnion);
  const auto sm_mhz = ask<unsigned>("nvmlDeviceGetClockInfo", kClockSm);
  merge(health_->sm_mhz_min, sm_mhz, kLeast);
  merge(health_->sm_mhz_max, sm_mhz, kMost);
  merge(health_->mem_mhz, ask<unsigned>("nvmlDeviceGetClockInfo", kClockMem), kLeast);
  look();
}

/// At what does not depend on work being under way.
void GpuMonitor::look() {
  auto milliwatts = ask<unsigned>("nvmlDeviceGetPowerUsage");
  if (milliwatts) merge(health_->power_w_max, std::optional(*milliwatts / 1e3), kMost);
  merge(health_->temperature_c_max, ask<unsigned>("nvmlDeviceGetTemperature", kTemperatureGpu),
        kMost);
  merge(health_->ecc_errors,
        ask<unsigned long long>("nvmlDeviceGetTotalEccErrors", kUncorrected, kVolatile), kMost);
  merge(health_->other_processes, other_processes(), kMost);
}

/// Where NVML gives process ids of another namespace, as in containers, they are counted: alone on
/// the GPU, a run must not be taken for two. A list too short for this run's own ranks is no list.
std::optional<unsigned> GpuMonitor::other_processes() const {
  std::vector<ProcessInfo> list(64);
  int status = kInsufficientSize;
  // Processes may start between two calls.
  for (int attempt = 0; attempt < 3 && status == kInsufficientSize; ++attempt) {
    auto count = static_cast<unsigned>(list.size());
    status = call("nvmlDeviceGetComputeRunningProcesses_v3", gpu_, &count, list.data());
    list.resize(status == kSuccess ? count : 2 * std::max<std::size_t>(count, 64));
  }
  if (status != kSuccess) return std::nullopt;
  const auto is = [](unsigned pid) {
    return [pid](const ProcessInfo& one) { return one.pid == pid; };
  };
  if (std::none_of(list.begin(), list.end(), is(own_.this_process))) {
    if (list.size() < own_.num_on_gpu) return std::nullopt;
    return static_cast<unsigned>(list.size()) - own_.num_on_gpu;
  }
  return static_cast<unsigned>(std::count_if(list.begin(), list.end(), [&](const auto& one) {
    return std::find(own_.of_node.begin(), own_.of_node.end(), one.pid) == own_.of_node.end();
  }));
}

}  // namespace llep
