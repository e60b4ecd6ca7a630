// SPDX-License-Identifier: MIT
#include "tests/softmlx5/log.hpp"

#include <unistd.h>

#include <string>

namespace softmlx5 {

void write_line(std::string_view line) {
  const std::string text = fmt::format("softmlx5[{}]: {}\n", ::getpid(), line);
  // Nothing is left to do where stderr is closed.
  [[maybe_unused]] const auto written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace softmlx5
