// SPDX-License-Identifier: MIT
#include "bench/cli.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <variant>
#include <vector>

#include "bench/sweep.hpp"
#include "common/error.hpp"

namespace llep {
namespace {

using Arguments = std::vector<const char*>;

Command parse(Arguments arguments, const Environment& environment = {}) {
  arguments.insert(arguments.begin(), "llep");
  return parse_command_line(static_cast<int>(arguments.size()), arguments.data(), environment);
}

RunOptions run(Arguments arguments, const Environment& environment = {}) {
  arguments.insert(arguments.begin(), "run");
  return std::get<RunOptions>(parse(arguments, environment));
}

/// The one line a user sees.
std::string complaint(Arguments arguments, const Environment& environment = {}) {
  try {
    run(arguments, environment);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ExitCode::kUsage);
    return error.what();
  }
  return "(none)";
}

/// A config file that lives as long as the test.
class CliConfig : public testing::Test {
 protected:
  ~CliConfig() override { std::filesystem::remove(path_); }

  const char* write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_.c_str();
  }
  std::string with_path(const std::string& text) const { return "config " + path_ + ": " + text; }

 private:
  std::string path_ = testing::TempDir() + "llep_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
};

TEST(Cli, DefaultsAreTheDocumentedOnes) {
  const RunOptions options = run({});
  EXPECT_EQ(options, RunOptions());
  EXPECT_EQ(options.num_tokens, std::vector<int>{128});
  EXPECT_EQ(options.hidden, std::vector<int>{7168});
  EXPECT_EQ(options.num_topk, std::vector<int>{8});
  EXPECT_EQ(options.num_experts, std::vector<int>{256});
  EXPECT_EQ(options.warmup, 5);
  EXPECT_EQ(options.iters, 20);
  EXPECT_EQ(to_string(options.check), "every:10");
  EXPECT_EQ(options.timeout_ms, 10'000.0);
}

TEST(Cli, ReadsEveryKindOfValue) {
  const RunOptions options = run({"-t",
                                  "1,8",
                                  "-t",
                                  "32",
                                  "-d",
                                  "256",
                                  "--dispatch-dtype",
                                  "fp8,bf16",
                                  "--zero-copy",
                                  "--relaxed-ordering",
                                  "on",
                                  "--mask",
                                  "10%",
                                  "--seed",
                                  "0xB3C4",
                                  "--timeout-ms",
                                  "2.5e3",
                                  "--uneven-tokens",
                                  "0,1",
                                  "--inject",
                                  "delay:rank=1,iter=all,us=50,op=combine",
                                  "--check",
                                  "all",
                                  "--op",
                                  "pair",
                                  "-J",
                                  "a,b.json",
                                  "--device=host"});
  EXPECT_EQ(options.num_tokens, (std::vector{1, 8, 32}));
  EXPECT_EQ(options.hidden, std::vector{256});
  EXPECT_EQ(options.dispatch_dtypes, (std::vector{DispatchDtype::kFp8, DispatchDtype::kBf16}));
  EXPECT_TRUE(options.zero_copy);
  EXPECT_TRUE(options.relaxed_ordering);
  EXPECT_EQ(options.mask, (MaskSpec{.selections = 0, .share = 0.1}));
  EXPECT_EQ(options.seed, 0xB3C4U);
  EXPECT_EQ(options.timeout_ms, 2500.0);
  EXPECT_EQ(options.uneven_tokens.per_rank, (std::vector{0, 1}));
  EXPECT_EQ(to_string(*options.inject), "delay:rank=1,iter=all,us=50,op=combine");
  EXPECT_EQ(options.check.kind, CheckPolicy::Kind::kAll);
  EXPECT_EQ(options.ops, std::vector{Op::kPair});
  EXPECT_EQ(options.json_path, "a,b.json");  // no list: the comma is part of the name
  EXPECT_EQ(options.device, DeviceChoice::kHost);
}

TEST(Cli, AListOfRoutingsMayHaveCommasInIt) {
  const RunOptions options = run({"--routing", "zipf:1.2,group-limited:4,2,local", "--routing",
                                  "trace:x.npy", "--fresh-routing"});
  ASSERT_EQ(options.routings.size(), 4U);
  EXPECT_EQ(to_string(options.routings[1]), "group-limited:4,2");
  EXPECT_EQ(to_string(options.routings[3]), "trace:x.npy");
  EXPECT_TRUE(options.fresh_routing);
  EXPECT_EQ(complaint({"--routing", "zipf:1.5,zipf:1.50"}),
            "--routing: 'zipf:1.5' is listed twice");
  EXPECT_EQ(complaint({"--routing", "trace:a/x.npy,trace:b/x.npy"}),
            "--routing: 'trace:x.npy' is listed twice");
}

TEST(Cli, HelpAndVersionReturnText) {
  const auto text = [](Arguments arguments) { return std::get<PrintText>(parse(arguments)).text; };
  EXPECT_NE(text({"--version"}).find("llep "), std::string::npos);
  EXPECT_NE(text({"--help"}).find("run"), std::string::npos);
  const std::string help = text({"run", "--help"});
  for (const OptionKey& key : run_keys()) {
    EXPECT_NE(help.find("--" + key.name), std::string::npos) << key.name;
  }
  EXPECT_NE(help.find("every:10"), std::string::npos);
}

TEST_F(CliConfig, CommandLineBeatsEnvironmentBeatsConfigBeatsDefault) {
  const char* config = write(R"({"iters": 2, "warmup": 2, "seed": 2, "zero-copy": true})");
  const RunOptions options = run({"--config", config, "--iters", "4", "--zero-copy=false"},
                                 {{"LLEP_ITERS", "3"}, {"LLEP_WARMUP", "3"}, {"LLEP_SEED", ""}});
  EXPECT_EQ(options.iters, 4);
  EXPECT_EQ(options.warmup, 3);
  EXPECT_EQ(options.seed, 2U);
  EXPECT_FALSE(options.zero_copy);
  EXPECT_EQ(options.host_blocks, RunOptions().host_blocks);
  EXPECT_EQ(run({}, {{"LLEP_CONFIG", config}}).iters, 2);
}

TEST_F(CliConfig, TakesNumbersTextsBooleansAndLists) {
  const RunOptions options = run({"--config", write(R"({
      "num-tokens": [1, 8], "hidden": "256,512", "num-topk": 2, "share-gpus": true,
      "dispatch-dtype": ["bf16", "fp8"], "mask": 0.5, "timeout-ms": 1e3, "json": null})")});
  EXPECT_EQ(options.num_tokens, (std::vector{1, 8}));
  EXPECT_EQ(options.hidden, (std::vector{256, 512}));
  EXPECT_EQ(options.num_topk, std::vector{2});
  EXPECT_EQ(options.dispatch_dtypes.size(), 2U);
  EXPECT_TRUE(options.share_gpus);
  EXPECT_EQ(options.mask.share, 0.5);
  EXPECT_EQ(options.timeout_ms, 1000.0);
  EXPECT_EQ(options.json_path, "");
}

TEST_F(CliConfig, ErrorsNameKeyAndFile) {
  const auto config = [&](const std::string& text) { return complaint({"--config", write(text)}); };
  EXPECT_EQ(config(R"({"num-token": 1})"), with_path("unknown key 'num-token'"));
  EXPECT_EQ(config(R"({"num_tokens": 1})"), with_path("unknown key 'num_tokens'"));
  EXPECT_EQ(config(R"({"config": "x"})"), with_path("unknown key 'config'"));
  EXPECT_EQ(config(R"({"iters": 1.5})"),
            with_path("iters: '1.5' is not a whole number of at least 1"));
  EXPECT_EQ(config(R"({"iters": [1, 2]})"), with_path("iters: takes one value, 2 are given"));
  EXPECT_EQ(config(R"({"hidden": []})"), with_path("hidden: an empty list"));
  EXPECT_EQ(config(R"({"hidden": [[1]]})"), with_path("hidden: a list inside a list"));
  EXPECT_EQ(config(R"({"hidden": {}})"),
            with_path("hidden: neither a number, a string, true, false nor a list of these"));
  EXPECT_EQ(config("[]"), with_path("not an object of keys"));
  EXPECT_EQ(config("{").find(with_path("parse error at line 1")), 0U);
  EXPECT_EQ(complaint({"--config", "/none.json"}), "config /none.json: No such file or directory");
}

TEST_F(CliConfig, EffectiveOptionsReadBackAreTheSame) {
  for (const RunOptions& options :
       {run({}),
        run({"-t", "1,8", "--experts-per-rank", "4", "--mask", "1.0", "--inject",
             "kill:rank=0,iter=3", "--uneven-tokens", "random", "--timeout-ms", "0.5",
             "--dispatch-copies", "selection", "--payload", "reference", "--anonymous"}),
        run({"--relaxed-ordering", "on", "--device-clock", "off"}),
        run({"--routing", "uniform,group-limited:8,4,trace:a/b.npy", "--fresh-routing"}),
        run({"--uneven-tokens", "3,0,1", "--seed", "18446744073709551615", "--check", "off"})}) {
    EXPECT_EQ(run({"--config", write(to_json(options).dump())}), options) << to_json(options);
  }
}

TEST(Cli, ExpertsAreGivenOneWay) {
  EXPECT_EQ(complaint({"-e", "8", "--experts-per-rank", "2"}),
            "--num-experts: num-experts and experts-per-rank exclude each other");
  const RunOptions per_rank = run({"--experts-per-rank", "2"}, {{"LLEP_NUM_EXPERTS", "8"}});
  EXPECT_TRUE(per_rank.num_experts.empty());
  const RunOptions total = run({"-e", "8"}, {{"LLEP_EXPERTS_PER_RANK", "2"}});
  EXPECT_TRUE(total.experts_per_rank.empty());
}

TEST(Cli, FingerprintsDifferWhereOptionsDo) {
  EXPECT_EQ(fingerprint(run({"-t", "1,2"})), fingerprint(run({"-t", "1", "-t", "2"})));
  EXPECT_EQ(fingerprint(run({"--seed", "0x10"})), fingerprint(run({"--seed", "16"})));
  EXPECT_NE(fingerprint(run({"--seed", "1"})), fingerprint(run({"--seed", "2"})));
  EXPECT_NE(fingerprint(run({"--mask", "1"})), fingerprint(run({"--mask", "1.0"})));
  EXPECT_NE(fingerprint(run({"--verbose"})), fingerprint(run({})));
}

TEST(Cli, EveryKeyIsInTheFingerprint) {
  for (const OptionKey& key : run_keys()) {
    EXPECT_NE(fingerprint(run({})).find('"' + key.name + '"'), std::string::npos);
  }
}

struct BadUsage {
  Arguments arguments;
  const char* message;
};

class CliComplaint : public testing::TestWithParam<BadUsage> {};

TEST_P(CliComplaint, IsOneClearLine) {
  EXPECT_EQ(complaint(GetParam().arguments), GetParam().message);
}

constexpr const char* kInjectForm = "KIND:rank=R,iter=I|all[,us=N][,op=dispatch|combine]";
const std::string kNeedsRank =
    std::string("--inject: 'drop:iter=1' needs rank= and iter=: ") + kInjectForm;
const std::string kNeedsIter =
    std::string("--inject: 'drop' needs rank= and iter=: ") + kInjectForm;
const std::string kNoPart = std::string("--inject: 'row=1' is not a part of ") + kInjectForm;

INSTANTIATE_TEST_SUITE_P(
    Values, CliComplaint,
    testing::Values(
        BadUsage{{"-t", "0"}, "--num-tokens: '0' is not a whole number of at least 1"},
        BadUsage{{"-t", "1,,2"}, "--num-tokens: '' is not a whole number of at least 1"},
        BadUsage{{"-t", "8x"}, "--num-tokens: '8x' is not a whole number of at least 1"},
        BadUsage{{"-t", "99999999999"},
                 "--num-tokens: '99999999999' is not a whole number of at least 1"},
        BadUsage{{"-t", "8,8"}, "--num-tokens: '8' is listed twice"},
        BadUsage{{"-n", "1", "-n", "2"}, "--iters: takes one value, 2 are given"},
        BadUsage{{"-w", "-1"}, "--warmup: '-1' is not a whole number of at least 0"},
        BadUsage{{"--seed", "-1"},
                 "--seed: '-1' is not a whole number below 2^64, decimal or 0x..."},
        BadUsage{{"--timeout-ms", "0"},
                 "--timeout-ms: '0' is not a number above 0 and at most 1e9"},
        BadUsage{{"--timeout-ms", "inf"},
                 "--timeout-ms: 'inf' is not a number above 0 and at most 1e9"},
        BadUsage{{"--dispatch-dtype", "fp16"}, "--dispatch-dtype: 'fp16' is not one of bf16, fp8"},
        BadUsage{{"--transport", "tcp"},
                 "--transport: 'tcp' is not one of ipc, fifo, ibgda, hybrid-fifo, "
                 "hybrid-ibgda, auto"},
        BadUsage{{"--device", "gpu"}, "--device: 'gpu' is not one of auto, cuda, host"},
        BadUsage{{"--zero-copy=maybe"}, "--zero-copy: 'maybe' is not true or false"},
        BadUsage{{"--check", "every:0"}, "--check: 'every:0' is not off, once, every:N or all"},
        BadUsage{{"--mask", "1.5"},
                 "--mask: '1.5' is not a number of selections, or a share of them as 0.1 or 10%"},
        BadUsage{{"--mask", "-1"},
                 "--mask: '-1' is not a number of selections, or a share of them as 0.1 or 10%"},
        BadUsage{{"--uneven-tokens", "1,some"},
                 "--uneven-tokens: 'some' is not a whole number of at least 0"}));

INSTANTIATE_TEST_SUITE_P(
    Injections, CliComplaint,
    testing::Values(
        BadUsage{{"--inject", "melt:rank=0,iter=0"},
                 "--inject: 'melt' is not one of corrupt, drop, misroute, delay, hang, kill, stall, "
                 "break"},
        BadUsage{{"--inject", "drop:iter=1"}, kNeedsRank.c_str()},
        BadUsage{{"--inject", "drop"}, kNeedsIter.c_str()},
        BadUsage{{"--inject", "drop:rank=0,iter=0,row=1"}, kNoPart.c_str()},
        BadUsage{{"--inject", "drop:rank=0,iter=0,us=5"},
                 "--inject: 'drop:rank=0,iter=0,us=5': us= belongs to delay"},
        BadUsage{{"--inject", "misroute:rank=0,iter=0,op=combine"},
                 "--inject: 'misroute:rank=0,iter=0,op=combine': only dispatch sends a routing"},
        BadUsage{{"--inject", "drop:rank=0,iter=0,op=pair"},
                 "--inject: 'pair' is not one of dispatch, combine"},
        BadUsage{{"--inject", "drop:rank=0,iter=20"},
                 "--inject: iter=20 is not below --iters 20"},
        BadUsage{{"--inject", "misroute:rank=0,iter=0", "--check", "off"},
                 "--inject: only a check finds misroute, and --check is off"}));

TEST(Cli, UnknownArgumentsAreNamed) {
  const std::string see = " (see llep --help, llep run --help)";
  EXPECT_EQ(complaint({"--num-token", "1"}).find("The following arguments were not expected"), 0U);
  EXPECT_EQ(complaint({"--fast"}), "The following argument was not expected: --fast" + see);
  EXPECT_NE(complaint({"-t"}).find("--num-tokens"), std::string::npos);
  EXPECT_THROW(parse({}), Error);
  EXPECT_THROW(parse({"walk"}), Error);
}

TEST(Cli, TheEnvironmentIsNamedInComplaints) {
  EXPECT_EQ(complaint({}, {{"LLEP_DISPATCH_DTYPE", "fp4"}}),
            "LLEP_DISPATCH_DTYPE: 'fp4' is not one of bf16, fp8");
}

TEST(Configs, ThoseWeShipAreGood) {
  const std::filesystem::path folder = LLEP_SOURCE_DIR "/configs";
  int read = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".json") continue;
    ++read;
    if (entry.path().stem() == "floors") {
      EXPECT_NO_THROW(parse({"floors", "--config", entry.path().c_str()}));
      continue;
    }
    const RunOptions options = run({"--config", entry.path().c_str()});
    for (const int num_ranks : {1, 2, 4, 8}) {
      EXPECT_FALSE(expand(options, num_ranks).empty()) << entry.path();
    }
  }
  EXPECT_GE(read, 7);
}

}  // namespace
}  // namespace llep
