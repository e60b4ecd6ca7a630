// SPDX-License-Identifier: MIT
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bench/cli.hpp"
#include "bench/run_command.hpp"
#include "common/mpi_session.hpp"

namespace {

using namespace llep;

/// Where ranks differ in their command lines, rank 0 says what is wrong with the lowest bad one.
int run(const Command& command, const Error* bad_usage, MpiCommunicator& world) {
  try {
    agree(world, bad_usage);
    return static_cast<int>(run_command(world, std::get<RunOptions>(command)));
  } catch (const Error& error) {
    if (world.rank() == 0) std::fprintf(stderr, "llep: %s\n", error.what());
    return static_cast<int>(error.code());
  }
}

}  // namespace

int main(int argc, char** argv) {
  // Loading a kernel waits for the device: none may be loaded while a peer's kernel waits for ours.
  ::setenv("CUDA_MODULE_LOADING", "EAGER", 0);
  Command command;
  std::optional<Error> bad_usage;
  try {
    command = parse_command_line(argc, argv);
  } catch (const Error& error) {
    bad_usage = error;
  }
  if (const auto* text = std::get_if<PrintText>(&command); text != nullptr && !bad_usage) {
    std::fputs(text->text.c_str(), stdout);
    return 0;
  }
  try {
    const MpiSession session;
    MpiCommunicator world = MpiCommunicator::world();
    return run(command, bad_usage ? &*bad_usage : nullptr, world);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llep: %s\n", error.what());
    return static_cast<int>(ExitCode::kInternal);
  }
}
