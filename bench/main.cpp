// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include "bench/cli.hpp"
#include "bench/floors_command.hpp"
#include "bench/run_command.hpp"
#include "common/mpi_session.hpp"
#include "common/stop_signal.hpp"

namespace {

using namespace llep;

/// Whether this process is a rank of several, by the variables of the usual launchers. Help needs
/// no MPI without them.
bool launched_as_rank() {
  constexpr std::array kVariables = {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"};
  return std::any_of(kVariables.begin(), kVariables.end(),
                     [](const char* name) { return std::getenv(name) != nullptr; });
}

/// What a rank was told to do, as a number.
int number_of(const Command& command) {
  const auto* options = std::get_if<RunOptions>(&command);
  return options == nullptr ? -1 : static_cast<int>(options->command);
}

/// A rank that printed its help and left would keep the others waiting for it.
void agree_on_command(Communicator& world, int command) {
  const auto all = gather_all(world, command);
  const auto other =
      std::find_if(all.begin(), all.end(), [&](int one) { return one != all.front(); });
  if (other == all.end()) return;
  throw Error(ExitCode::kUsage,
              fmt::format("rank {} was given another command than rank 0 (such as help on one of "
                          "them); start all ranks alike",
                          other - all.begin()));
}

ExitCode measure(MpiCommunicator& world, const RunOptions& options) {
  remember_stop_signals();
  switch (options.command) {
    case Subcommand::kRun: return run_command(world, options);
    case Subcommand::kFloors: break;
  }
  return floors_command(world, options);
}

/// Where ranks differ in their command lines, rank 0 says what is wrong with the lowest bad one.
int run(const Command& command, const Error* bad_usage, MpiCommunicator& world) {
  try {
    agree(world, bad_usage);
    const auto* text = std::get_if<PrintText>(&command);
    same_everywhere([&] { agree_on_command(world, number_of(command)); });
    if (text == nullptr) return static_cast<int>(measure(world, std::get<RunOptions>(command)));
    if (world.rank() == 0) std::fputs(text->text.c_str(), stdout);
    return 0;
  } catch (const Error& error) {
    if (world.rank() == 0 || !error.agreed()) std::fprintf(stderr, "llep: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    // Before the session ends: that waits for the other ranks.
    std::fprintf(stderr, "llep: rank %d: %s\n", world.rank(), error.what());
    return static_cast<int>(ExitCode::kInternal);
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
  const auto* text = std::get_if<PrintText>(&command);
  if (text != nullptr && !bad_usage && !launched_as_rank()) {
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
