// SPDX-License-Identifier: MIT
#include "tests/softmlx5/options.hpp"

#include <sched.h>
#include <unistd.h>

#include <charconv>
#include <cstdlib>
#include <optional>
#include <string_view>
#include <vector>

#include "tests/softmlx5/device.hpp"
#include "tests/softmlx5/log.hpp"

namespace softmlx5 {

namespace {

constexpr int kUsageExitCode = 2;

[[noreturn]] void refuse(const char* variable, std::string_view value, const char* expected) {
  log_line("{}={}: expected {}", variable, value, expected);
  ::_exit(kUsageExitCode);
}

std::optional<std::string_view> variable(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return value;
}

template <class Number>
std::optional<Number> number(std::string_view text) {
  Number value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int integer(const char* name, int fallback, int least, int most, const char* expected) {
  const auto text = variable(name);
  if (!text) return fallback;
  const auto value = number<int>(*text);
  if (!value || *value < least || *value > most) refuse(name, *text, expected);
  return *value;
}

/// Whether it is the second of two words.
bool second_of(const char* name, std::string_view first, std::string_view second,
               const char* expected) {
  const auto text = variable(name);
  if (!text || *text == first) return false;
  if (*text != second) refuse(name, *text, expected);
  return true;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0; begin <= text.size();) {
    const std::size_t end = std::min(text.find(separator, begin), text.size());
    parts.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

/// One of "delay", "error=N" ...; false: unknown.
bool set_mode(AdversaryOptions& adversary, std::string_view mode) {
  const std::size_t equals = mode.find('=');
  const std::string_view name = mode.substr(0, equals);
  if (equals != std::string_view::npos) {
    const auto count = number<std::uint32_t>(mode.substr(equals + 1));
    if (!count || *count == 0) return false;
    if (name == "error") adversary.error_after = *count;
    if (name == "drop-doorbell") adversary.drop_doorbell = *count;
    return name == "error" || name == "drop-doorbell";
  }
  const struct {
    std::string_view name;
    bool& flag;
  } modes[] = {{"delay", adversary.delay}, {"interleave", adversary.interleave},
               {"split", adversary.split}, {"completions", adversary.completions},
               {"stall", adversary.stall}, {"relaxed", adversary.relaxed}};
  for (const auto& known : modes) {
    if (name != known.name) continue;
    known.flag = true;
    return true;
  }
  return false;
}

/// "mode[,mode...][:seed=N]"
AdversaryOptions read_adversary() {
  constexpr const char* kName = "SOFTMLX5_ADVERSARY";
  constexpr const char* kExpected =
      "MODE[,MODE...][:seed=N] with modes delay, interleave, split, completions, stall, relaxed, "
      "error=N, drop-doorbell=N";
  AdversaryOptions adversary;
  const auto text = variable(kName);
  if (!text) return adversary;
  const auto parts = split(*text, ':');
  for (const std::string_view mode : split(parts[0], ',')) {
    if (!set_mode(adversary, mode)) refuse(kName, *text, kExpected);
  }
  if (parts.size() == 1) return adversary;
  constexpr std::string_view kSeed = "seed=";
  const auto seed = parts[1].substr(0, kSeed.size()) == kSeed
                        ? number<std::uint64_t>(parts[1].substr(kSeed.size()))
                        : std::nullopt;
  if (parts.size() > 2 || !seed) refuse(kName, *text, kExpected);
  adversary.seed = *seed;
  return adversary;
}

/// With fewer cores than processes a spinning thread takes whole time slices from those it serves.
int default_sleep_us() {
  cpu_set_t cpus;
  const bool known = ::sched_getaffinity(0, sizeof cpus, &cpus) == 0;
  return known && CPU_COUNT(&cpus) >= 8 ? 0 : Options::kFitting;
}

Options read_options() {
  Options read;
  read.num_devices =
      integer("SOFTMLX5_DEVICES", 1, 1, kMaxDevices, "a number of devices from 1 to 8");
  read.ethernet = second_of("SOFTMLX5_LINK", "ib", "eth", "ib or eth");
  read.folder = variable("SOFTMLX5_FOLDER").value_or("");
  if (read.folder.empty()) read.folder = "/dev/shm/softmlx5-" + std::to_string(::getuid());
  read.sleep_us =
      integer("SOFTMLX5_SLEEP_US", default_sleep_us(), 0, 100000, "microseconds from 0 to 100000");
  read.trace = second_of("SOFTMLX5_TRACE", "0", "1", "0 or 1");
  if (variable("SOFTMLX5_GPU_FLAG")) {
    const bool copy = second_of("SOFTMLX5_GPU_FLAG", "write", "copy", "write or copy");
    read.gpu_flag = copy ? Options::GpuFlag::kCopy : Options::GpuFlag::kWrite;
  }
  read.adversary = read_adversary();
  return read;
}

}  // namespace

const Options& options() {
  static const Options read = read_options();
  return read;
}

}  // namespace softmlx5
