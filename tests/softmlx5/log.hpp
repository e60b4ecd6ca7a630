// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <string_view>
#include <utility>

namespace softmlx5 {

/// "softmlx5[pid]: line" to stderr, in one write.
void write_line(std::string_view line);

template <class... Arguments>
void log_line(fmt::format_string<Arguments...> format, Arguments&&... arguments) {
  write_line(fmt::format(format, std::forward<Arguments>(arguments)...));
}

}  // namespace softmlx5
