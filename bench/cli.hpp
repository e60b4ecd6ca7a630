// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <variant>

#include "bench/file_commands.hpp"
#include "bench/option_sources.hpp"
#include "bench/options.hpp"

namespace llep {

/// --help and --version: print it, exit 0.
struct PrintText {
  std::string text;
};

/// What the command line asks for; one alternative a subcommand.
using Command = std::variant<PrintText, RunOptions, ExportOptions, CompareOptions>;

/// Reads command line, environment (LLEP_<KEY>), the config file that --config or LLEP_CONFIG
/// names and the defaults; the earlier in this list wins, key by key. Does not communicate; it
/// reads files. Throws Error(kUsage) with one line.
Command parse_command_line(int argc, const char* const* argv,
                           const Environment& environment = process_environment());

}  // namespace llep
