// SPDX-License-Identifier: MIT
#include "bench/case_floor.hpp"

#include <gtest/gtest.h>

#include "bench/traffic.hpp"
#include "common/error.hpp"
#include "tests/unit/result_fixture.hpp"

namespace llep {
namespace {

using Json = nlohmann::ordered_json;
using report_fixture::make_context;
using report_fixture::make_op;
using result_fixture::TemporaryResult;

Json probe(const char* transport, const char* name, const Json& bytes, const Json& to, double us,
           double gbps) {
  return {{"transport", transport}, {"signal", "write"}, {"status", "ok"}, {"probe", name},
          {"bytes", bytes},         {"to", to},          {"us_min", us},   {"gbps_max", gbps}};
}

/// 100 GB/s out, 2 us a flag, 6 us a message of 16 KiB in place of an exchange, 1000 GB/s in local
/// memory, 3 us a launch.
Json floors_document() {
  return {{"schema_version", 1},
          {"kind", "floors"},
          {"context", to_json(make_context(), RunOptions())},
          {"floors",
           {probe("local", "empty_launch", nullptr, nullptr, 3.0, 0.0),
            probe("local", "local_copy", 1 << 20, nullptr, 0.0, 1000.0),
            probe("ipc", "flag", 8, 1, 1.5, 0.0), probe("ipc", "flag", 8, 2, 2.0, 0.0),
            probe("ipc", "put_latency", 16384, 1, 6.0, 0.0),
            probe("ipc", "put_latency", 1 << 20, 1, 60.0, 0.0),
            probe("ipc", "put_stream", 1024, nullptr, 0.0, 50.0),
            probe("ipc", "put_stream", 1 << 20, nullptr, 0.0, 100.0),
            probe("ipc", "put_stream", 1 << 20, 1, 0.0, 400.0)}}};
}

Floors read(const Json& document) {
  const TemporaryResult file(document.dump());
  RunOptions options;
  options.floors_path = file.path();
  return read_floors(options, make_context());
}

Case make_case(int num_tokens = 128) {
  Case one = report_fixture::make_case();
  one.shape.max_tokens = num_tokens;
  one.shape.hidden = 7168;
  return one;
}

OpResult make_op_of(Op op, std::uint64_t wire_kb, std::uint64_t memory_kb) {
  OpResult result = make_op(op, 2);
  result.floor_work = {.wire = {1000, wire_kb * 1000}, .memory = {1000, memory_kb * 1000}};
  return result;
}

TEST(CaseFloor, AddsUpWhatTheHardwareTakes) {
  const auto floor =
      floor_of(make_op_of(Op::kDispatch, 1500, 4000), make_case(), read(floors_document()));
  ASSERT_TRUE(floor);
  EXPECT_DOUBLE_EQ(floor->wire_us, 15.0);
  EXPECT_DOUBLE_EQ(floor->memory_us, 4.0);
  EXPECT_DOUBLE_EQ(floor->device_us, 15.0 + 4.0 + 2.0);
  EXPECT_DOUBLE_EQ(floor->host_us, 15.0 + 4.0 + 2.0 + 3.0);
  EXPECT_STREQ(floor->limited_by, "wire");
  // Medians of 10 and 20 us.
  OpResult op = make_op(Op::kDispatch, 2);
  EXPECT_DOUBLE_EQ(floor_ratio(op, *floor), 10.0 / 24.0);
  EXPECT_FALSE(device_floor_ratio(op, *floor));
  op.device_us = {{42, 1}, {1, 84}};
  EXPECT_DOUBLE_EQ(*device_floor_ratio(op, *floor), 42.0 / 21.0);
}

TEST(CaseFloor, IsThatOfTheSlowestRank) {
  OpResult op = make_op_of(Op::kDispatch, 0, 0);
  op.floor_work = {.wire = {100'000, 900'000}, .memory = {9'500'000, 0}};
  const auto floor = floor_of(op, make_case(), read(floors_document()));
  EXPECT_DOUBLE_EQ(floor->wire_us, 1.0);
  EXPECT_DOUBLE_EQ(floor->memory_us, 9.5);
  EXPECT_STREQ(floor->limited_by, "memory");
}

TEST(CaseFloor, OfFewTokensIsAnExchange) {
  const OpResult op = make_op_of(Op::kCombine, 10, 10);
  const auto floor = [&](int num_tokens) {
    return floor_of(op, make_case(num_tokens), read(floors_document()));
  };
  EXPECT_DOUBLE_EQ(floor(31)->device_us, 6.0);
  EXPECT_DOUBLE_EQ(floor(31)->host_us, 9.0);
  EXPECT_STREQ(floor(31)->limited_by, "exchange");
  EXPECT_DOUBLE_EQ(floor(32)->device_us, 0.1 + 0.01 + 2.0);
  EXPECT_STREQ(floor(32)->limited_by, "launch");
}

TEST(CaseFloor, IsNoExchangeWhereSomeSendNothing) {
  OpResult op = make_op_of(Op::kCombine, 10, 10);
  op.floor_work.all_to_all = false;
  EXPECT_DOUBLE_EQ(floor_of(op, make_case(8), read(floors_document()))->device_us,
                   0.1 + 0.01 + 2.0);
}

TEST(CaseFloor, OfSmallRowsIsNoExchange) {
  const OpResult op = make_op_of(Op::kCombine, 10, 10);
  Case one = make_case(8);
  EXPECT_STREQ(floor_of(op, one, read(floors_document()))->limited_by, "exchange");
  one.dtype = DispatchDtype::kFp8;
  EXPECT_DOUBLE_EQ(floor_of(op, one, read(floors_document()))->device_us, 0.1 + 0.01 + 2.0);
  one.dtype = DispatchDtype::kBf16;
  one.shape.hidden = 2048;
  EXPECT_DOUBLE_EQ(floor_of(op, one, read(floors_document()))->device_us, 0.1 + 0.01 + 2.0);
}

/// The best way of sharing it out, whether a message alone takes longer or not.
TEST(CaseFloor, TakesTheExchangeThatWasMeasured) {
  const OpResult op = make_op_of(Op::kCombine, 10, 10);
  for (const double us : {4.0, 9.0}) {
    Json document = floors_document();
    document["floors"].push_back(probe("ipc", "exchange", 16384, nullptr, us + 1, 0.0));
    document["floors"].push_back(probe("ipc", "exchange", 16384, nullptr, us, 0.0));
    const auto floor = floor_of(op, make_case(8), read(document));
    EXPECT_DOUBLE_EQ(floor->rates.exchange_us, us);
    EXPECT_DOUBLE_EQ(floor->device_us, us);
  }
}

TEST(CaseFloor, SaysHowItWasAddedUp) {
  const auto formula = [](Op op, Phases phases, Mode mode, int num_tokens) {
    Case one = make_case(num_tokens);
    one.phases = phases;
    one.mode = mode;
    return floor_of(make_op_of(op, 10, 10), one, read(floors_document()))->formula;
  };
  EXPECT_EQ(formula(Op::kDispatch, Phases::kFused, Mode::kPaired, 128),
            "wire_us + memory_us + 1 * flag_us + 1 * launch_us");
  EXPECT_EQ(formula(Op::kDispatch, Phases::kFused, Mode::kFresh, 128),
            "wire_us + memory_us + 1 * flag_us + 1 * launch_us");
  EXPECT_EQ(formula(Op::kCombine, Phases::kSplit, Mode::kPaired, 128),
            "wire_us + memory_us + 1 * flag_us + 2 * launch_us");
  EXPECT_EQ(formula(Op::kPair, Phases::kFused, Mode::kChained, 128),
            "wire_us + memory_us + 2 * flag_us");
  EXPECT_EQ(formula(Op::kPair, Phases::kFused, Mode::kPaired, 8),
            "2 * exchange_us + 1 * launch_us");
}

TEST(CaseFloor, CountsTheLaunchesThatTheClockSees) {
  const OpResult op = make_op_of(Op::kDispatch, 0, 0);
  const auto launches_us = [&](Phases phases, Mode mode, Op of) {
    Case one = make_case();
    one.phases = phases;
    one.mode = mode;
    OpResult timed = op;
    timed.op = of;
    const auto floor = floor_of(timed, one, read(floors_document()));
    return floor->host_us - floor->device_us;
  };
  EXPECT_DOUBLE_EQ(launches_us(Phases::kFused, Mode::kPaired, Op::kDispatch), 3.0);
  EXPECT_DOUBLE_EQ(launches_us(Phases::kSplit, Mode::kPaired, Op::kDispatch), 6.0);
  EXPECT_DOUBLE_EQ(launches_us(Phases::kSplit, Mode::kPaired, Op::kPair), 3.0);
  EXPECT_DOUBLE_EQ(launches_us(Phases::kFused, Mode::kChained, Op::kDispatch), 0.0);
  EXPECT_DOUBLE_EQ(launches_us(Phases::kFused, Mode::kGraph, Op::kDispatch), 0.0);
}

TEST(CaseFloor, OfAPairHasTwoFlags) {
  const auto floor = floor_of(make_op_of(Op::kPair, 0, 0), make_case(), read(floors_document()));
  EXPECT_DOUBLE_EQ(floor->device_us, 4.0 + 0.001 / 100 * 1000 + 0.001);
}

TEST(CaseFloor, IsUnknownWithoutItsProbes) {
  const OpResult op = make_op_of(Op::kDispatch, 1, 1);
  Case other = make_case();
  other.transport = "fifo";
  EXPECT_FALSE(floor_of(op, other, read(floors_document())));
  other = make_case();
  other.signal = SignalMode::kAtomic;
  EXPECT_FALSE(floor_of(op, other, read(floors_document())));
  // Without any one of them but a second flag, a longer message, or a slower stream.
  int num_needed = 0;
  for (std::size_t i = 0; i < floors_document()["floors"].size(); ++i) {
    Json document = floors_document();
    document["floors"][i]["status"] = "skipped";
    num_needed += floor_of(op, make_case(), read(document)) ? 0 : 1;
  }
  EXPECT_EQ(num_needed, 3);
  EXPECT_FALSE(floor_of(make_op(Op::kDispatch, 2), make_case(), read(floors_document())));
}

std::string complaint(const Json& document) {
  try {
    read(document);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    const std::string text = error.what();
    return text.substr(text.find(".json: ") + 7);
  }
  return "(none)";
}

TEST(Floors, AreOfThisHardware) {
  Json document = floors_document();
  EXPECT_EQ(complaint(document), "(none)");
  document["context"]["world_size"] = 4;
  EXPECT_EQ(complaint(document), "world_size is 4 there, 2 in this run");
  document = floors_document();
  document["context"]["executor"] = "host";
  EXPECT_EQ(complaint(document), "executor is \"host\" there, \"cuda\" in this run");
  document = floors_document();
  document["context"]["devices"][1]["name"] = "NVIDIA H100";
  EXPECT_EQ(complaint(document),
            "devices is [\"NVIDIA H200\",\"NVIDIA H100\"] there, "
            "[\"NVIDIA H200\",\"NVIDIA H200\"] in this run");
  document = floors_document();
  document["context"]["num_nodes"] = 2;
  EXPECT_EQ(complaint(document), "num_nodes is 2 there, 1 in this run");
  document = floors_document();
  document["context"]["nodes"] = {0, 0};
  EXPECT_EQ(complaint(document), "nodes is [0,0] there, [0,1] in this run");
  document["context"].erase("nodes");
  EXPECT_EQ(complaint(document), "(none)");
  document["context"]["arguments"]["ranks-per-node"] = 1;
  EXPECT_EQ(complaint(document), "ranks-per-node is 1 there, 0 in this run");
  document = floors_document();
  EXPECT_EQ(read(floors_document()).source(), "llep_AreOfThisHardware.json");  // without its folder
  document.erase("kind");
  EXPECT_EQ(complaint(document), "kind is \"run\", but only results of llep floors can be read");
}

/// What a run says of a file whose floors of fifo were carried by `path`, over softmlx5 and rxe.
std::string complaint_of_carrier(const Json& path, const Json& stand_ins,
                                 const TransportSummary& here) {
  Json document = floors_document();
  document["floors"].push_back(probe("fifo", "flag", 8, 1, 1.5, 0.0));
  document["context"]["stand_ins"] = {"softmlx5", "rxe"};
  Json transport = {{"name", "fifo, depth 512"},
                    {"paths", {{"self", "ipc", path}, {"ipc", "self", "none"}}}};
  if (!stand_ins.is_null()) transport["stand_ins"] = stand_ins;
  document["context"]["transports"] = {transport, {{"name", "fifo"}, {"paths", nullptr}}};
  try {
    read(document).need_same_carrier(here);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    const std::string text = error.what();
    return text.substr(text.find(".json: ") + 7);
  }
  return "(none)";
}

TransportSummary over(const char* transport, const char* far,
                      std::vector<std::string> stand_ins = {}) {
  return {.name = transport,
          .descriptions = {},
          .stand_ins = std::move(stand_ins),
          .far = far,
          .paths = {},
          .proxy_cpu = {}};
}

TEST(Floors, AreOfWhatCarriesTheRows) {
  const Json real = Json::array();
  EXPECT_EQ(complaint_of_carrier("fifo-mpi", real, over("fifo", "fifo-mpi")), "(none)");
  EXPECT_EQ(complaint_of_carrier("fifo-mpi", real, over("fifo", "fifo-verbs")),
            "transport fifo is \"fifo-mpi\" there, \"fifo-verbs\" in this run");
  EXPECT_EQ(complaint_of_carrier("fifo-verbs", {"rxe"}, over("fifo", "fifo-verbs", {"rxe"})),
            "(none)");
  EXPECT_EQ(complaint_of_carrier("fifo-verbs", {"rxe"}, over("fifo", "fifo-verbs")),
            "transport fifo is \"fifo-verbs over rxe\" there, \"fifo-verbs\" in this run");
  // Older files have the stand-ins of all transports together.
  EXPECT_EQ(complaint_of_carrier("fifo-verbs", nullptr, over("fifo", "fifo-verbs")),
            "transport fifo is \"fifo-verbs over softmlx5, rxe\" there, \"fifo-verbs\" in this run");
  EXPECT_EQ(complaint_of_carrier("none", real, over("fifo", "fifo-mpi")),
            "transport fifo is \"\" there, \"fifo-mpi\" in this run");
  // Nothing to compare: no far ranks, no floors of that transport.
  EXPECT_EQ(complaint_of_carrier("none", {"rxe"}, over("fifo", "")), "(none)");
  EXPECT_EQ(complaint_of_carrier("fifo-mpi", real, over("ipc", "")), "(none)");
  EXPECT_EQ(complaint_of_carrier("fifo-mpi", real, over("ibgda", "ibgda")), "(none)");
}

/// Of two ranks with two experts each, one token of rank 0 and two of rank 1.
GlobalRouting make_routing(std::vector<std::int64_t> topk_idx) {
  return {.shape = {.num_ranks = 2, .num_experts = 4, .max_tokens = 2, .hidden = 128, .num_topk = 2},
          .num_tokens = {1, 2},
          .topk_idx = std::move(topk_idx),
          .weights = std::vector<float>(8)};
}

/// Rank 0's token goes to both experts of rank 1; rank 1's two tokens to expert 0 and its own expert
/// 2, and to its own alone.
TEST(FloorWork, IsTheLeastThatMustMove) {
  const GlobalRouting routing = make_routing({2, 3, -1, -1, 0, 2, 2, -1});
  Case one = report_fixture::make_case();
  one.shape = routing.shape;
  constexpr std::uint64_t kRow = 256;
  const FloorWork dispatch = floor_work(routing, one, Op::kDispatch);
  EXPECT_EQ(dispatch.wire, (std::vector<std::uint64_t>{1 * kRow, 1 * kRow}));
  // Rank 0 reads a token, and one that arrives, which it writes once. Rank 1 reads two tokens and
  // one that arrives, and writes four rows.
  EXPECT_EQ(dispatch.memory, (std::vector<std::uint64_t>{3 * kRow, 7 * kRow}));
  const FloorWork combine = floor_work(routing, one, Op::kCombine);
  EXPECT_EQ(combine.wire, (std::vector<std::uint64_t>{1 * kRow, 1 * kRow}));
  // Rank 0 reads an expert's row and one that arrives, and writes a token's. Rank 1 reads four
  // experts' rows and one that arrives, and writes two.
  EXPECT_EQ(combine.memory, (std::vector<std::uint64_t>{3 * kRow, 7 * kRow}));
  const FloorWork pair = floor_work(routing, one, Op::kPair);
  EXPECT_EQ(pair.memory, (std::vector<std::uint64_t>{6 * kRow, 14 * kRow}));
  // FP8 rows, with a scale; the token that is read is bf16.
  one.dtype = DispatchDtype::kFp8;
  EXPECT_EQ(floor_work(routing, one, Op::kDispatch).wire, (std::vector<std::uint64_t>{132, 132}));
  EXPECT_EQ(floor_work(routing, one, Op::kDispatch).memory[0], 256U + 2 * 132U);
}

TEST(FloorWork, ReadsNoTokenThatNobodyGets) {
  const GlobalRouting routing = make_routing({-1, -1, -1, -1, 2, -1, -1, -1});
  Case one = report_fixture::make_case();
  one.shape = routing.shape;
  constexpr std::uint64_t kRow = 256;
  // Rank 1 reads one token and writes it; in the end all have a row of their own.
  EXPECT_EQ(floor_work(routing, one, Op::kDispatch).memory,
            (std::vector<std::uint64_t>{0, 2 * kRow}));
  EXPECT_EQ(floor_work(routing, one, Op::kCombine).memory,
            (std::vector<std::uint64_t>{1 * kRow, 3 * kRow}));
}

TEST(FloorWork, KnowsWhetherEveryRankSendsToEveryOther) {
  const auto all_to_all = [](const std::vector<std::int64_t>& topk_idx) {
    return floor_work(make_routing(topk_idx), make_case(), Op::kDispatch).all_to_all;
  };
  EXPECT_TRUE(all_to_all({2, 3, -1, -1, 0, 2, 2, -1}));
  EXPECT_TRUE(all_to_all({2, -1, -1, -1, 2, -1, 1, -1}));
  EXPECT_FALSE(all_to_all({2, 3, -1, -1, 3, 2, 2, -1}));    // rank 1 keeps its tokens
  EXPECT_FALSE(all_to_all({-1, -1, -1, -1, 0, 2, 2, -1}));  // rank 0 has none
}

TEST(Traffic, IsTheMeanOfFreshRoutings) {
  Case one = report_fixture::make_case();
  const std::vector<GlobalRouting> routings = {make_routing({2, 3, -1, -1, 0, 2, 2, -1}),
                                               make_routing({2, -1, -1, -1, 3, 2, 3, 2})};
  one.shape = routings.front().shape;
  const Nodes nodes{.of_rank = {0, 0}};
  std::vector<OpResult> ops = {{.op = Op::kDispatch}, {.op = Op::kPair}};
  average_traffic(0, ops);
  EXPECT_TRUE(ops[0].bytes.logical.empty());
  for (const GlobalRouting& routing : routings) add_traffic(routing, one, nodes, ops);
  average_traffic(2, ops);
  constexpr std::uint64_t kRow = 256;
  EXPECT_EQ(ops[0].bytes.logical, (std::vector<std::uint64_t>{3 * kRow / 2, 7 * kRow / 2}));
  EXPECT_EQ(ops[0].bytes.messages, (std::vector<std::uint64_t>{1, 1}));  // of 1 and 0: rounded
  EXPECT_EQ(ops[0].floor_work.wire, (std::vector<std::uint64_t>{kRow, kRow / 2}));
  EXPECT_EQ(ops[1].floor_work.wire, (std::vector<std::uint64_t>{3 * kRow / 2, 3 * kRow / 2}));
  EXPECT_FALSE(ops[0].floor_work.all_to_all);  // in one of them
}

}  // namespace
}  // namespace llep
