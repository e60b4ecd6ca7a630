// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string_view>

#include "bench/cli.hpp"
#include "bench/floors_command.hpp"
#include "bench/run_command.hpp"
#include "common/mpi_session.hpp"
#include "common/stop_signal.hpp"

namespace {

using namespace llep;

/// This process's rank as the usual launchers tell it; null: it was not started by one, and help
/// needs no MPI.
const char* launched_rank() {
  for (const char* name : {"PMIX_RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK"}) {
    if (const char* rank = std::getenv(name)) return rank;
  }
  return nullptr;
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

ExitCode run_file_command(const Command& command) {
  if (const auto* options = std::get_if<CompareOptions>(&command)) return compare_command(*options);
  if (const auto* options = std::get_if<ExportOptions>(&command)) return export_command(*options);
  std::fputs(std::get<PrintText>(command).text.c_str(), stdout);
  return ExitCode::kOk;
}

/// What only reads files does without MPI: under a launcher, rank 0 does it alone.
int run_alone(int argc, char** argv) {
  const char* rank = launched_rank();
  if (rank != nullptr && std::string_view(rank) != "0") return 0;
  try {
    return static_cast<int>(run_file_command(parse_command_line(argc, argv)));
  } catch (const Error& error) {
    std::fprintf(stderr, "llep: %s\n", error.what());
    return static_cast<int>(error.code());
  } catch (const std::exception& error) {
    std::fprintf(stderr, "llep: %s\n", error.what());
    return static_cast<int>(ExitCode::kInternal);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 1 && is_file_command(argv[1])) return run_alone(argc, argv);
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
  if (text != nullptr && !bad_usage && launched_rank() == nullptr) {
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
