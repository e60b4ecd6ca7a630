// SPDX-License-Identifier: MIT
// An NVML of one GPU, as a library of its own. The environment variable of a function's name holds
// its answer, or "fail"; clocks have "/sm" and "/mem" behind it. OLD_NVML: that of driver 470,
// which names reasons otherwise and does not list processes this way.
#include <unistd.h>

#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace {

constexpr int kNotSupported = 3;
constexpr int kNotFound = 6;
constexpr int kInsufficientSize = 7;

int card = 0;

struct ProcessInfo {
  unsigned pid;
  unsigned long long used_gpu_memory;
  unsigned gpu_instance;
  unsigned compute_instance;
};

std::string told(const std::string& function) {
  const char* text = std::getenv(function.c_str());
  return text == nullptr ? "" : text;
}

template <class T>
int answer(const std::string& function, const void* gpu, T* to, T usual) {
  const std::string text = told(function);
  if (gpu != &card || text == "fail") return kNotSupported;
  *to = text.empty() ? usual : static_cast<T>(std::stoull(text, nullptr, 0));
  return 0;
}

}  // namespace

extern "C" {
// NOLINTBEGIN(readability-identifier-naming): NVML's names.

int nvmlInit_v2() {
  ::setenv("fake_nvml", "in use", 1);
  return told("nvmlInit_v2") == "fail" ? kNotSupported : 0;
}
int nvmlSystemGetDriverVersion(char* version, unsigned length) {
  if (told("nvmlSystemGetDriverVersion") == "fail") return kNotSupported;
  std::string("580.95.05").copy(version, length);
  return 0;
}
int nvmlShutdown() { return ::setenv("fake_nvml", "shut down", 1); }

int nvmlDeviceGetHandleByPciBusId_v2(const char* id, void** gpu) {
  if (std::string(id) != "0000:3b:00.0") return kNotFound;
  *gpu = &card;
  return 0;
}
int nvmlDeviceGetMaxClockInfo(void* gpu, int clock, unsigned* mhz) {
  return clock == 1 ? answer("nvmlDeviceGetMaxClockInfo", gpu, mhz, 1980U) : kNotSupported;
}
int nvmlDeviceGetClockInfo(void* gpu, int clock, unsigned* mhz) {
  if (clock == 1) return answer("nvmlDeviceGetClockInfo/sm", gpu, mhz, 1935U);
  return clock == 2 ? answer("nvmlDeviceGetClockInfo/mem", gpu, mhz, 2619U) : kNotSupported;
}
int nvmlDeviceGetEccMode(void* gpu, int* current, int* pending) {
  *pending = 0;
  return answer("nvmlDeviceGetEccMode", gpu, current, 1);
}
int nvmlDeviceGetTotalEccErrors(void* gpu, int error, int counter, unsigned long long* count) {
  if (error != 1 || counter != 0) return kNotSupported;
  return answer("nvmlDeviceGetTotalEccErrors", gpu, count, 0ULL);
}
int nvmlDeviceGetTemperature(void* gpu, int sensor, unsigned* celsius) {
  return sensor == 0 ? answer("nvmlDeviceGetTemperature", gpu, celsius, 41U) : kNotSupported;
}
int nvmlDeviceGetPowerUsage(void* gpu, unsigned* milliwatts) {
  return answer("nvmlDeviceGetPowerUsage", gpu, milliwatts, 350'500U);
}

#if defined(OLD_NVML)
int nvmlDeviceGetCurrentClocksThrottleReasons(void* gpu, unsigned long long* reasons) {
  return answer("nvmlDeviceGetCurrentClocksThrottleReasons", gpu, reasons, 0ULL);
}
#else
int nvmlDeviceGetCurrentClocksEventReasons(void* gpu, unsigned long long* reasons) {
  return answer("nvmlDeviceGetCurrentClocksEventReasons", gpu, reasons, 0ULL);
}
/// The variable lists process ids; without it this process is alone. "none": nobody is seen.
int nvmlDeviceGetComputeRunningProcesses_v3(void* gpu, unsigned* count, ProcessInfo* list) {
  const std::string text = told("nvmlDeviceGetComputeRunningProcesses_v3");
  if (gpu != &card || text == "fail") return kNotSupported;
  std::vector<unsigned> pids;
  std::istringstream words(text);
  for (unsigned pid = 0; words >> pid;) pids.push_back(pid);
  if (text.empty()) pids.push_back(static_cast<unsigned>(::getpid()));
  const unsigned room = *count;
  *count = static_cast<unsigned>(pids.size());
  if (room < pids.size()) return kInsufficientSize;
  for (std::size_t i = 0; i < pids.size(); ++i) list[i] = {.pid = pids[i]};
  return 0;
}
#endif

// NOLINTEND(readability-identifier-naming)
}  // extern "C"
