// SPDX-License-Identifier: MIT
#include "bench/session.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "bench/option_sources.hpp"
#include "bench/report_table.hpp"
#include "common/exec/host_device.hpp"
#include "common/version.hpp"

#if LLEP_HAS_CUDA
#include "common/exec/cuda_device.hpp"
#endif

namespace llep {

namespace {

/// What one rank sees; plain data, gathered.
struct Sight {
  int num_gpus = 0;
};

/// The same answer everywhere.
ExecutorKind agree_on_executor(const std::vector<Sight>& all, const RunOptions& options) {
  if (options.device == DeviceChoice::kHost) return ExecutorKind::kHost;
  const auto without =
      std::find_if(all.begin(), all.end(), [](const Sight& s) { return s.num_gpus == 0; });
  if (without == all.end()) return ExecutorKind::kCuda;
  const bool nobody = std::all_of(all.begin(), all.end(),
                                  [](const Sight& s) { return s.num_gpus == 0; });
  if (nobody && options.device == DeviceChoice::kAuto) return ExecutorKind::kHost;
  const char* remedy = LLEP_HAS_CUDA == 0 ? "this build has no CUDA executor: configure with "
                                            "-DLLEP_CUDA=on, or use --device host"
                                          : "check nvidia-smi and CUDA_VISIBLE_DEVICES there, or "
                                            "use --device host";
  throw Error(ExitCode::kUnavailable,
              fmt::format("--device {}: rank {} sees no GPU{}; {}", to_string(options.device),
                          without - all.begin(), nobody ? ", nor does any other rank" : "",
                          remedy));
}

std::unique_ptr<Device> make_host_device(int rank, const RunOptions& options) {
  return std::make_unique<HostDevice>(
      rank, HostDeviceOptions{.num_blocks = options.host_blocks,
                              .warps_per_block = options.host_warps});
}

#if LLEP_HAS_CUDA
using Uuid = std::array<char, 48>;

Uuid uuid_of(int ordinal) {
  Uuid uuid = {};
  const std::string text = cuda::uuid(ordinal);
  std::copy(text.begin(), text.end(), uuid.begin());
  return uuid;
}

ChosenDevice choose_gpu(MpiCommunicator& world, const NodeInfo& node, const Sight& mine,
                        const RunOptions& options) {
  ChosenDevice chosen;
  const int ordinal = node.local_rank % mine.num_gpus;
  Uuid uuid = {};
  collectively(world, [&] { uuid = uuid_of(ordinal); });
  const auto uuids = gather_all(world, uuid);
  std::size_t most = 0;  // ranks on the GPU that has the most of them
  for (const Uuid& one : uuids) {
    most = std::max(most, static_cast<std::size_t>(std::count(uuids.begin(), uuids.end(), one)));
  }
  chosen.shared_gpus = most > 1;
  if (chosen.shared_gpus && !options.share_gpus) {
    throw Error(ExitCode::kUsage,
                fmt::format("{} ranks on one GPU: start at most one rank per GPU, or add "
                            "--share-gpus for a test of correctness",
                            most));
  }
  collectively(world, [&] {
    const auto sharing = static_cast<int>(std::count(uuids.begin(), uuids.end(), uuid));
    auto device = std::make_unique<CudaDevice>(ordinal, world.rank(), sharing);
    chosen.placement =
        options.bind == Binding::kAuto
            ? bind_near_pci(device->pci_bus_id(), node.local_rank, node.local_size)
            : current_placement();
    chosen.uuid = cuda::uuid(ordinal);
    chosen.device = std::move(device);
  });
  return chosen;
}
#endif

std::string host_name() {
  std::array<char, 256> name = {};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "";
}

std::string mpi_library() {
  std::array<char, MPI_MAX_LIBRARY_VERSION_STRING> text = {};
  int length = 0;
  MPI_Get_library_version(text.data(), &length);
  const std::string whole(text.data());
  return whole.substr(0, whole.find_first_of(",\n"));
}

/// The first option that differs, for people.
std::string difference(const std::string& ours, const std::string& theirs) {
  const auto a = nlohmann::json::parse(ours);
  const auto b = nlohmann::json::parse(theirs);
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || b[key] != value) {
      return fmt::format("--{} is {} on rank 0, {} here", key, value.dump(),
                         b.contains(key) ? b[key].dump() : "missing");
    }
  }
  return "an option of rank 0 is missing";
}

}  // namespace

int visible_gpus() {
#if LLEP_HAS_CUDA
  return cuda::num_devices();
#else
  return 0;
#endif
}

ChosenDevice choose_device(MpiCommunicator& world, const NodeInfo& node,
                           const RunOptions& options) {
  Sight mine;
  if (options.device != DeviceChoice::kHost) mine.num_gpus = visible_gpus();
  const auto all = gather_all(world, mine);
#if LLEP_HAS_CUDA
  if (agree_on_executor(all, options) == ExecutorKind::kCuda) {
    return choose_gpu(world, node, mine, options);
  }
#else
  agree_on_executor(all, options);
#endif
  ChosenDevice chosen;
  collectively(world, [&] {
    chosen.device = make_host_device(world.rank(), options);
    chosen.placement = options.bind == Binding::kAuto
                           ? bind_near_pci(std::nullopt, node.local_rank, node.local_size)
                           : current_placement();
  });
  return chosen;
}

void agree_on_options(Communicator& world, const RunOptions& options) {
  const auto versions =
      gather_strings(world, fmt::format("{} ({})", kVersion, kGitRevision));
  const auto prints = gather_strings(world, fingerprint(options));
  for (std::size_t rank = 1; rank < prints.size(); ++rank) {
    if (versions[rank] != versions[0]) {
      throw Error(ExitCode::kUsage,
                  fmt::format("rank {} runs llep {}, rank 0 {}: start the same binary everywhere",
                              rank, versions[rank], versions[0]));
    }
    if (prints[rank] != prints[0]) {
      throw Error(ExitCode::kUsage,
                  fmt::format("rank {} was given other options: {}; start all ranks alike", rank,
                              difference(prints[0], prints[rank])));
    }
  }
}

ContextInfo gather_context(Communicator& world, const NodeInfo& node,
                           const ChosenDevice& chosen) {
  ContextInfo context;
  context.executor = chosen.device->executor();
  context.shared_gpus = chosen.shared_gpus;
  context.num_nodes = node.num_nodes;
  const auto devices = gather_strings(world, chosen.device->name());
  const auto uuids = gather_strings(world, chosen.uuid.value_or(""));
  const auto pci_bus_ids = gather_strings(world, chosen.device->pci_bus_id().value_or(""));
  const auto hosts = gather_strings(world, host_name());
  const Placement& placed = chosen.placement;
  const auto placements = gather_strings(
      world, fmt::format("cpus {}: {}", placed.cpuset.empty() ? "unknown" : placed.cpuset,
                         placed.reason));
  const auto processors = gather_strings(world, processor());
  for (std::size_t rank = 0; rank < devices.size(); ++rank) {
    RankInfo info{.device = devices[rank],
                  .node = node.nodes[rank],
                  .host = hosts[rank],
                  .placement = placements[rank],
                  .processor = processors[rank]};
    if (!uuids[rank].empty()) info.uuid = uuids[rank];
    if (!pci_bus_ids[rank].empty()) info.pci_bus_id = pci_bus_ids[rank];
    context.ranks.push_back(info);
  }
#if LLEP_HAS_CUDA
  if (context.executor == ExecutorKind::kCuda) {
    context.cuda_driver = cuda::driver_version();
    context.cuda_runtime = cuda::runtime_version();
  }
#endif
  context.mpi_library = mpi_library();
  context.version = kVersion;
  context.git_revision = kGitRevision;
  context.start_time = utc_time(std::chrono::system_clock::now());
  context.environment = recorded_environment(process_environment());
  return context;
}

Session start_session(MpiCommunicator& world, const NodeInfo& node, const RunOptions& options) {
  Session session;
  session.chosen = same_everywhere([&] { return choose_device(world, node, options); });
  Device& device = *session.chosen.device;
  device.faults().timeout_ns = static_cast<std::uint64_t>(options.timeout_ms * 1e6);
  collectively(world, [&] {
    session.launcher = make_launcher(device);
    session.launcher->fill({});  // a GPU that the binary has no code for is known here
    device.synchronize();
  });
  session.context = gather_context(world, node, session.chosen);
  session.gpu_monitor = watch_gpu(world, node, device, session.context);
  session.context.nvidia_driver = nvidia_drivers(world, session.gpu_monitor.get());
  if (options.verbose && world.rank() == 0) {
    fmt::print("{}", rank_lines(session.context, options.anonymous));
  }
  return session;
}

}  // namespace llep
