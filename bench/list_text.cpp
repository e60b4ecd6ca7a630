// SPDX-License-Identifier: MIT
#include "bench/list_text.hpp"

#include <fmt/format.h>

#include <optional>
#include <string_view>

#include "bench/option_keys.hpp"
#include "bench/session.hpp"
#include "bench/transports.hpp"
#include "transport/fifo/verbs_wire.hpp"
#include "transport/ibgda/ibgda_transport.hpp"

namespace llep {

namespace {

std::string line(std::string_view name, std::string_view what) {
  return fmt::format("  {:<18} {}\n", name, what);
}

std::string missing(const std::optional<std::string>& why) {
  return why ? line("", "not here: " + *why) : "";
}

std::optional<std::string> why_no_cuda() {
  if (LLEP_HAS_CUDA == 0) return "this build has none: configure with -DLLEP_CUDA=on";
  if (visible_gpus() > 0) return std::nullopt;
  return "no GPU is seen: check nvidia-smi and CUDA_VISIBLE_DEVICES";
}

std::string executors() {
  std::string text = "executors (--device)\n";
  text += line("cuda", fmt::format("kernels run on GPUs{}",
                                   why_no_cuda() ? "" : fmt::format(": {} here", visible_gpus())));
  text += missing(why_no_cuda());
  text += line("host", "kernels run on the CPUs, for tests: their timings are not a GPU's");
  return text;
}

std::string transports() {
  std::string text = "transports (--transport)\n";
  for (const TransportName& transport : kTransportNames) {
    text += line(transport.name, transport.help);
    const std::string_view name = transport.name;
    if (name.ends_with("ibgda")) text += missing(why_no_ibgda());
    if (!name.ends_with("fifo")) continue;
    const auto no_verbs = why_no_verbs();
    text += line("", no_verbs ? "here over MPI (--fifo-wire mpi); not over verbs: " + *no_verbs
                              : "here over verbs and over MPI (--fifo-wire)");
  }
  text += line("auto", "ipc on one node; on several hybrid-ibgda, or hybrid-fifo and why");
  return text;
}

/// Every combination of their values is a case.
std::string axes() {
  std::string text = "axes of llep run (a list of each; every combination is a case)\n";
  for (const OptionKey& key : run_keys()) {
    const bool axis = key.group.starts_with("Shape") || key.group == "Axes" || key.name == "signal";
    if (axis && key.name != "transport") text += line("--" + key.name, key.help);
  }
  return text;
}

}  // namespace

std::string list_text() { return executors() + transports() + axes(); }

}  // namespace llep
