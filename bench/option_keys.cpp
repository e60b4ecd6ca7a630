// SPDX-License-Identifier: MIT
#include "bench/option_keys.hpp"

#include <array>
#include <iterator>
#include <utility>

#include "bench/key_makers.hpp"
#include "bench/option_values.hpp"
#include "bench/transports.hpp"

namespace llep {
namespace {

using Json = OptionJson;
using Kind = OptionKey::Kind;
using Values = OptionValues;

constexpr std::array kDtypes = {DispatchDtype::kBf16, DispatchDtype::kFp8};
constexpr std::array kCopies = {DispatchCopies::kRank, DispatchCopies::kSelection};
constexpr std::array kPhases = {Phases::kFused, Phases::kSplit};
constexpr std::array kModes = {Mode::kPaired, Mode::kFresh, Mode::kChained, Mode::kGraph};
constexpr std::array kOps = {Op::kDispatch, Op::kCombine, Op::kPair};
constexpr std::array kDevices = {DeviceChoice::kAuto, DeviceChoice::kCuda, DeviceChoice::kHost};
constexpr std::array kBindings = {Binding::kAuto, Binding::kNone};
constexpr std::array kPayloads = {Payload::kHash, Payload::kReference};

/// Either key replaces what the other said, so that a later source can change its mind.
OptionKey experts_key(const About& about, std::vector<int> RunOptions::*member,
                      std::vector<int> RunOptions::*other) {
  OptionKey key = int_axis(about, member);
  key.set = [set = key.set, other](RunOptions& options, const Values& values) {
    set(options, values);
    (options.*other).clear();
  };
  return key;
}

OptionKey transport_key() {
  return axis(
      {"transport", "", "Axes", "LIST",
       "ipc, fifo, ibgda, hybrid-fifo, hybrid-ibgda, auto (chooses and says why)"},
      &RunOptions::transports,
      [](const std::string& text) {
        std::vector<TransportName> names(std::begin(kTransportNames), std::end(kTransportNames));
        names.push_back({"auto", ""});
        return std::string(parse_choice<TransportName>(text, names).name);
      },
      [](const std::string& name) { return name; });
}

OptionKey routing_key() {
  OptionKey key = axis(
      {"routing", "", "Axes", "LIST",
       "uniform, balanced, zipf:S, hot-expert:F, hot-rank:F, local, remote, permute, "
       "group-limited:N,G, trace:FILE"},
      &RunOptions::routings, parse_routing,
      [](const RoutingPattern& pattern) { return to_string(pattern); });
  key.set = [set = key.set](RunOptions& options, const Values& values) {
    set(options, join_group_limits(values));
    Values labels;  // what names of results have of them
    for (const RoutingPattern& pattern : options.routings) labels.push_back(label(pattern));
    refuse_repeats(labels);
  };
  return key;
}

OptionKey uneven_tokens_key() {
  OptionKey key = make_key({"uneven-tokens", "", "Routing and payload", "LIST|random",
                            "tokens of each rank in rank order, none above --num-tokens"},
                           Kind::kList);
  key.set = [](RunOptions& options, const Values& values) {
    options.uneven_tokens = parse_uneven_tokens(values);
  };
  key.show = [](const RunOptions& options) {
    const UnevenTokens& uneven = options.uneven_tokens;
    if (uneven.even()) return Json(nullptr);
    return uneven.random ? Json("random") : Json(uneven.per_rank);
  };
  return key;
}

void add_axes(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kShape = "Shape (lists make a cross product)";
  constexpr const char* kAxes = "Axes";
  keys.push_back(int_axis({"num-tokens", "t", kShape, "LIST", "tokens per rank"}, &O::num_tokens));
  keys.push_back(
      int_axis({"hidden", "d", kShape, "LIST", "elements of a row, multiples of 128"}, &O::hidden));
  keys.push_back(int_axis({"num-topk", "k", kShape, "LIST", "experts of a token"}, &O::num_topk));
  keys.push_back(experts_key({"num-experts", "e", kShape, "LIST", "experts of all ranks"},
                             &O::num_experts, &O::experts_per_rank));
  keys.push_back(experts_key({"experts-per-rank", "", kShape, "LIST", "instead of --num-experts"},
                             &O::experts_per_rank, &O::num_experts));
  keys.push_back(choice_axis({"dispatch-dtype", "", kAxes, "LIST", "bf16, fp8"},
                             &O::dispatch_dtypes, kDtypes));
  keys.push_back(choice_axis({"dispatch-copies", "", kAxes, "LIST",
                              "rank: one copy per token and rank; selection: one per selection"},
                             &O::dispatch_copies, kCopies));
  keys.push_back(transport_key());
  keys.push_back(choice_axis(
      {"phases", "", kAxes, "LIST", "fused: send and receive in one launch; split: in two"},
      &O::phases, kPhases));
  keys.push_back(choice_axis({"op", "", kAxes, "LIST", "dispatch, combine, pair"}, &O::ops, kOps));
  keys.push_back(choice_axis({"mode", "", kAxes, "LIST",
                              "paired: each op timed alone; fresh: the same, devices released "
                              "together; chained: --chain ops back to back; graph: those as one "
                              "CUDA graph"},
                             &O::modes, kModes));
  keys.push_back(routing_key());
}

void add_device(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kDevice = "Device";
  keys.push_back(choice({"device", "", kDevice, "NAME", "where kernels run: auto, cuda, host"},
                        &O::device, kDevices));
  keys.push_back(
      flag({"share-gpus", "", kDevice, "", "allow more ranks than GPUs"}, &O::share_gpus));
  keys.push_back(choice({"bind", "", kDevice, "NAME", "bind ranks near their devices: auto, none"},
                        &O::bind, kBindings));
  keys.push_back(int_scalar({"host-blocks", "", kDevice, "N", "blocks of a host executor grid"},
                            &O::host_blocks, 1));
  keys.push_back(int_scalar({"host-warps", "", kDevice, "N", "warps of a host executor block"},
                            &O::host_warps, 1));
}

void add_measurement(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kMeasurement = "Measurement";
  keys.push_back(
      int_scalar({"iters", "n", kMeasurement, "N", "timed iterations, all count"}, &O::iters, 1));
  keys.push_back(
      int_scalar({"warmup", "w", kMeasurement, "N", "iterations before them"}, &O::warmup, 0));
  keys.push_back(int_scalar(
      {"trials", "", kMeasurement, "N", "times that every case is set up and measured"}, &O::trials,
      1));
  keys.push_back(int_scalar(
      {"chain", "", kMeasurement, "N", "ops of one iteration in modes chained and graph"},
      &O::chain, 1));
  keys.push_back(scalar({"timeout-ms", "", kMeasurement, "MS", "deadline of every wait"},
                        &O::timeout_ms, parse_positive, [](double ms) { return ms; }));
  keys.push_back(flag({"flush-l2", "", kMeasurement, "",
                       "overwrite the L2 cache before each op or pair; not in chains"},
                      &O::flush_l2));
  keys.push_back(on_off({"device-clock", "", kMeasurement, "on|off",
                         "kernels note when they begin and end"},
                        &O::device_clock));
  keys.push_back(scalar({"overlap-us", "", kMeasurement, "US",
                         "also with so much compute between split halves; 0: without"},
                        &O::overlap_us,
                        [](const std::string& text) { return parse_between(text, 0, 1e6); },
                        [](double us) { return us; }));
  keys.push_back(flag(
      {"zero-copy", "", kMeasurement, "", "the expert writes straight into combine's send window"},
      &O::zero_copy));
}

void add_gates(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kGates = "Gates (exit code 6 if missed)";
  keys.push_back(axis({"max-latency-us", "", kGates, "LIST",
                       "OP:STATISTIC:US that no case may exceed, such as dispatch:p50:40"},
                      &O::max_latency_us, parse_latency_gate,
                      [](const LatencyGate& gate) { return to_string(gate); }));
  keys.push_back(axis({"min-bw", "", kGates, "LIST",
                       "OP:GBPS by logical bytes that every case must reach"},
                      &O::min_bw, parse_bandwidth_gate,
                      [](const BandwidthGate& gate) { return to_string(gate); }));
}

void add_routing_and_checks(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kRouting = "Routing and payload";
  constexpr const char* kChecks = "Checks";
  keys.push_back(scalar({"seed", "", kRouting, "N", "of routing and payload; decimal or 0x..."},
                        &O::seed, parse_seed, [](std::uint64_t seed) { return seed; }));
  keys.push_back(scalar(
      {"mask", "", kRouting, "N|SHARE", "selections of each rank to mask: 10, 0.1 or 10%"},
      &O::mask, parse_mask,
      [](MaskSpec mask) { return mask.share == 0.0 ? Json(mask.selections) : Json(mask.share); }));
  keys.push_back(uneven_tokens_key());
  keys.push_back(flag({"fresh-routing", "", kRouting, "", "another routing in every iteration"},
                      &O::fresh_routing));
  keys.push_back(choice({"payload", "", kRouting, "NAME", "hash, or reference: the reference test"},
                        &O::payload, kPayloads));
  keys.push_back(scalar(
      {"check", "", kChecks, "WHEN", "off, once, every:N (and first and last), all iterations"},
      &O::check, parse_check, [](CheckPolicy check) { return to_string(check); }));
  keys.push_back(
      scalar({"inject", "", kChecks, "FAULT", "a fault on purpose, to see it caught; see below"},
             &O::inject, parse_injection, [](const std::optional<Injection>& injection) {
               return injection ? Json(to_string(*injection)) : Json(nullptr);
             }));
}

OptionKey path(const About& about, std::string RunOptions::*member) {
  return scalar(
      about, member, [](const std::string& text) { return text; },
      [](const std::string& path) { return path.empty() ? Json(nullptr) : Json(path); });
}

void add_output(std::vector<OptionKey>& keys) {
  using O = RunOptions;
  constexpr const char* kOutput = "Output";
  keys.push_back(
      path({"json", "J", kOutput, "FILE", "results; if not given results/local/<UTC time>.json"},
           &O::json_path));
  keys.push_back(
      path({"samples", "", kOutput, "FILE", "every rank's times as CSV"}, &O::samples_path));
  keys.push_back(path({"floors", "", kOutput, "FILE|measure",
                       "results get their floor and ratio: from a file of llep floors on the same "
                       "hardware, or from probes before the first case"},
                      &O::floors_path));
  keys.push_back(
      flag({"anonymous", "", kOutput, "", "no host names, UUIDs or paths in it"}, &O::anonymous));
  keys.push_back(flag({"verbose", "", kOutput, "", "say more on the way"}, &O::verbose));
  keys.push_back(
      flag({"dry-run", "", kOutput, "", "print cases and memory need, then stop"}, &O::dry_run));
}

std::vector<OptionKey> make_run_keys() {
  std::vector<OptionKey> keys;
  add_axes(keys);
  add_device(keys);
  for (OptionKey& key : transport_keys()) keys.push_back(std::move(key));
  add_measurement(keys);
  add_gates(keys);
  add_routing_and_checks(keys);
  add_output(keys);
  return keys;
}

}  // namespace

std::string OptionKey::environment_name() const {
  std::string variable = "LLEP_";
  for (const char c : name) {
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return variable;
}

const std::vector<OptionKey>& run_keys() {
  static const std::vector<OptionKey> keys = make_run_keys();
  return keys;
}

}  // namespace llep
