// SPDX-License-Identifier: MIT
#include "bench/routing_trace.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>

#include "bench/routing.hpp"
#include "common/error.hpp"
#include "common/thread_communicator.hpp"

namespace llep {
namespace {

using Experts = std::vector<std::int64_t>;

constexpr MoeShape kShape{
    .num_ranks = 2, .num_experts = 8, .max_tokens = 2, .hidden = 128, .num_topk = 2};

/// What numpy.save writes.
struct Npy {
  std::string magic = "\x93NUMPY";
  std::string version = std::string("\1\0", 2);
  std::string descr = "'<i8'";
  std::string fortran_order = "False";
  std::string shape = "(2, 2, 2, 2)";
  std::vector<std::int64_t> values = {0, 1, 2, 3, 4, 5, 6, 7, 7, 6, 5, 4, 3, 2, -1, -1};
  std::string behind = "";

  std::string header() const {
    return "{'descr': " + descr + ", 'fortran_order': " + fortran_order + ", 'shape': " + shape +
           ", }\n";
  }
  std::string bytes() const {
    std::string text = magic + version;
    const std::size_t length = header().size();
    const std::size_t length_bytes = version[0] == 1 ? 2 : 4;
    for (std::size_t i = 0; i < length_bytes; ++i) text += static_cast<char>(length >> 8 * i);
    text += header();
    const std::size_t width = descr == "'<i4'" ? 4 : 8;
    for (const std::int64_t value : values) {
      text.append(reinterpret_cast<const char*>(&value), width);  // little-endian
    }
    return text + behind;
  }
};

/// Files of a folder of its own for each test; errors are without what they begin with.
class TraceFile : public testing::Test {
 protected:
  TraceFile() { std::filesystem::create_directories(folder_); }
  ~TraceFile() override { std::filesystem::remove_all(folder_); }

  std::string write(const std::string& name, const std::string& text) const {
    const std::string path = folder_ + "/" + name;
    std::ofstream(path, std::ios::binary) << text;
    return path;
  }
  /// What is wrong with the file for these sizes.
  static std::string wrong(const std::string& path, const MoeShape& shape = kShape) {
    try {
      check_fits(read_trace(path), shape);
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ExitCode::kUsage);
      const std::string begin = "--routing trace:" + path + ": ";
      const std::string what = error.what();
      EXPECT_EQ(what.substr(0, begin.size()), begin);
      return what.substr(begin.size());
    }
    return "(nothing)";
  }
  std::string wrong_lines(const std::string& text, const MoeShape& shape = kShape) const {
    return wrong(write("x.jsonl", text), shape);
  }
  std::string wrong_npy(const Npy& file, const MoeShape& shape = kShape) const {
    return wrong(write("x.npy", file.bytes()), shape);
  }

  std::string folder_ = testing::TempDir() + "llep_" + std::to_string(::getpid()) + "_" +
                        testing::UnitTest::GetInstance()->current_test_info()->name();
};

const std::string kLine0 = R"({"step": 0, "rank": 0, "topk_idx": [[0, 1], [2, 3]]})"
                           "\n";
const std::string kLine1 = R"({"step": 0, "rank": 1, "topk_idx": [[4, 5], [6, -1], [0, 1]]})"
                           "\n";
const std::string kForm = R"({"step": 0, "rank": 0, "topk_idx": [[3, 17], [5, -1]]})";

TEST_F(TraceFile, JsonLinesComeInAnyOrder) {
  const Trace trace = read_trace(write("x.jsonl", kLine1 + kLine0));
  check_fits(trace, kShape);
  EXPECT_EQ(trace.num_steps, 1);
  EXPECT_EQ(trace.at(0, 0).topk_idx, (Experts{0, 1, 2, 3}));
  EXPECT_EQ(trace.at(0, 1).topk_idx, (Experts{4, 5, 6, -1, 0, 1}));
}

TEST_F(TraceFile, NpyOfBothWidthsAndAllVersions) {
  Npy file;
  for (const char* descr : {"'<i8'", "'<i4'"}) {
    for (const char version : {'\1', '\2', '\3'}) {
      file.descr = descr;
      file.version[0] = version;
      const Trace trace = read_trace(write("x.npy", file.bytes()));
      check_fits(trace, kShape);
      EXPECT_EQ(trace.num_steps, 2);
      EXPECT_EQ(trace.at(0, 1).topk_idx, (Experts{4, 5, 6, 7}));
      EXPECT_EQ(trace.at(1, 1).topk_idx, (Experts{3, 2, -1, -1}));
    }
  }
}

TEST_F(TraceFile, IsTheRoutingOfItsStep) {
  const auto trace = std::make_shared<const Trace>(read_trace(write("x.npy", Npy().bytes())));
  RoutingSpec spec{.trace = trace};
  const auto of_iteration = [&](int iteration) {
    spec.iteration = iteration;
    return make_routing(kShape, spec, 0).topk_idx;
  };
  EXPECT_EQ(of_iteration(0), (Experts{0, 1, 2, 3}));
  EXPECT_EQ(of_iteration(1), (Experts{7, 6, 5, 4}));
  EXPECT_EQ(of_iteration(2), of_iteration(0));
  EXPECT_EQ(of_iteration(-1), of_iteration(1));
  spec.uneven_tokens.per_rank = {1, 0};  // the first token
  EXPECT_EQ(of_iteration(1), (Experts{7, 6}));
  spec.mask.selections = 2;
  EXPECT_EQ(of_iteration(1), (Experts{-1, -1}));
}

TEST_F(TraceFile, CannotBeRead) {
  EXPECT_EQ(wrong(folder_ + "/none.jsonl"), "cannot open it: No such file or directory");
  EXPECT_EQ(wrong(folder_ + "/none.npy"), "cannot open it: No such file or directory");
  EXPECT_EQ(wrong(folder_), "a folder: give a file");
}

TEST_F(TraceFile, LinesThatAreNone) {
  EXPECT_EQ(wrong_lines(""), "no line: right is " + kForm);
  EXPECT_EQ(wrong_lines(kLine0 + "{\"step\": 0, "), "line 2: not JSON; right is " + kForm);
  EXPECT_EQ(wrong_lines("\n" + kLine0), "line 1: not JSON; right is " + kForm);
  EXPECT_EQ(wrong_lines(Npy().bytes()), "line 1: not JSON; right is " + kForm);
  EXPECT_EQ(wrong_lines("[0]\n"), "line 1: not an object; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"steps": 0})"), "line 1: unknown key 'steps'; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"rank": 0})"), "line 1: no 'step'; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"step": 0})"), "line 1: no 'rank'; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"step": 0, "rank": 0})"),
            "line 1: no list 'topk_idx'; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"step": 0, "rank": 0, "topk_idx": 1})"),
            "line 1: no list 'topk_idx'; right is " + kForm);
  EXPECT_EQ(wrong_lines(R"({"step": -1, "rank": 0, "topk_idx": []})"),
            "line 1: 'step' is -1, right is a whole number from 0 on");
  EXPECT_EQ(wrong_lines(R"({"step": 0, "rank": 0.5, "topk_idx": []})"),
            "line 1: 'rank' is 0.5, right is a whole number from 0 on");
}

TEST_F(TraceFile, LinesWithWrongTokens) {
  const auto wrong_token = [&](const std::string& topk_idx) {
    return wrong_lines(R"({"step": 0, "rank": 0, "topk_idx": )" + topk_idx + "}");
  };
  EXPECT_EQ(wrong_token("[1, 2]"), "line 1: token 0 is no list of experts; right is " + kForm);
  EXPECT_EQ(wrong_token("[[1, 2], []]"),
            "line 1: token 1 is no list of experts; right is " + kForm);
  EXPECT_EQ(wrong_token("[[1, 2], [3]]"),
            "line 1: token 1 has 1 experts, the tokens before have 2");
  EXPECT_EQ(wrong_token("[[1, \"2\"]]"),
            "line 1: token 0: \"2\" is no expert; right is its number, or -1");
  EXPECT_EQ(wrong_token("[[1, 18446744073709551615]]"),  // not -1
            "line 1: token 0: 18446744073709551615 is no expert; right is its number, or -1");
}

TEST_F(TraceFile, LinesMissingOrTwice) {
  EXPECT_EQ(wrong_lines(kLine0 + kLine1 + kLine0), "line 3: step 0, rank 0 again, line 1 has it");
  const std::string step_2 = R"({"step": 2, "rank": 0, "topk_idx": [[0, 1], [2, 3]]})";
  EXPECT_EQ(wrong_lines(kLine1),
            "step 0, rank 0: no line of it; right are all of 1 steps and 2 ranks");
  EXPECT_EQ(wrong_lines(kLine0 + kLine1 + step_2),
            "step 1, rank 0: no line of it; right are all of 3 steps and 2 ranks");
  EXPECT_EQ(wrong_lines(kLine0 + kLine1 + R"({"step": 1, "rank": 0, "topk_idx": []})"),
            "step 1, rank 1: no line of it; right are all of 2 steps and 2 ranks");
}

TEST_F(TraceFile, FitsTheRun) {
  const std::string lines = kLine0 + kLine1;
  EXPECT_EQ(wrong_lines(lines), "(nothing)");
  MoeShape shape = kShape;
  shape.num_ranks = 4;
  EXPECT_EQ(wrong_lines(lines, shape), "the file: 2 ranks, but this run has 4");
  shape = kShape;
  shape.num_topk = 3;
  EXPECT_EQ(wrong_lines(lines, shape), "the file: 2 experts a token, but this run has 3");
  shape = kShape;
  shape.max_tokens = 3;
  EXPECT_EQ(wrong_lines(lines, shape),
            "line 1: 2 tokens, but num-tokens is 3: give at least as many");
  shape = kShape;
  shape.num_experts = 6;
  EXPECT_EQ(wrong_lines(lines, shape),
            "line 2, token 1: expert 6, right are 0 to 5 (num-experts 6), and -1 for not routed");
}

TEST_F(TraceFile, ExpertsOutOfRangeOrTwice) {
  Npy file;
  const std::string right = ", right are 0 to 7 (num-experts 8), and -1 for not routed";
  file.values[15] = -2;
  EXPECT_EQ(wrong_npy(file), "byte 172 (step 1, rank 1), token 1: expert -2" + right);
  file.values[5] = 8;
  EXPECT_EQ(wrong_npy(file), "byte 108 (step 0, rank 1), token 0: expert 8" + right);
  file.values[3] = 2;
  EXPECT_EQ(wrong_npy(file),
            "byte 76 (step 0, rank 0), token 1: expert 2 twice, a token's experts "
            "are to be distinct");
}

TEST_F(TraceFile, NpyThatIsNone) {
  EXPECT_EQ(wrong(write("x.npy", kLine0)),
            "byte 0: no .npy file; right is one of numpy.save, which begins with \\x93NUMPY");
  EXPECT_EQ(wrong_npy({.version = std::string("\4\0", 2)}),
            "byte 6: version 4.0, right are 1.0, 2.0 and 3.0");
  const std::string whole = Npy().bytes();
  EXPECT_EQ(wrong(write("x.npy", whole.substr(0, 7))),
            "byte 7: the file ends, but its version reaches to byte 8");
  EXPECT_EQ(wrong(write("x.npy", whole.substr(0, 9))),
            "byte 9: the file ends, but its header's length reaches to byte 10");
  EXPECT_EQ(wrong(write("x.npy", whole.substr(0, 40))),
            "byte 40: the file ends, but its header reaches to byte 76");
}

TEST_F(TraceFile, NpyOfAnotherArray) {
  EXPECT_EQ(wrong_npy({.descr = "'<f4'"}),
            "byte 10: dtype '<f4', right are '<i8' and '<i4': int64 and int32");
  EXPECT_EQ(wrong_npy({.descr = "'>i8'"}),
            "byte 10: dtype '>i8', right are '<i8' and '<i4': int64 and int32");
  EXPECT_EQ(wrong_npy({.fortran_order = "True"}),
            "byte 10: fortran_order is not False; numpy.ascontiguousarray makes it right");
  for (const char* shape : {"(2, 2, 4)", "(2, 2, 2, 0)", "(2, 2, 2, -2)", "(16,)", "()", "16"}) {
    EXPECT_EQ(wrong_npy({.shape = shape}).find("byte 10: shape " + std::string(shape)), 0U)
        << shape;
  }
  std::string no_shape = Npy().bytes();
  no_shape.replace(no_shape.find("shape"), 5, "shapf");
  EXPECT_EQ(wrong(write("x.npy", no_shape)), "byte 10: no 'shape' in the header");
}

TEST_F(TraceFile, NpyTooShortOrTooLong) {
  const std::string whole = Npy().bytes();
  EXPECT_EQ(wrong(write("x.npy", whole.substr(0, whole.size() - 1))),
            "byte 203: the file ends, but its shape needs 128 bytes from byte 76 on");
  EXPECT_EQ(wrong_npy({.behind = "abc"}), "byte 204: 3 bytes behind what its shape needs");
  EXPECT_EQ(
      wrong_npy({.shape = "(2000000000, 2000000000, 2000000000, 2000000000)"}).find("byte 240: "),
      0U);
}

TEST_F(TraceFile, IsReadByAllRanksAndTheSameOnAll) {
  const std::string same = write("same.jsonl", kLine0 + kLine1);
  run_ranks(2, [&](Communicator& comm) {
    std::vector<Case> cases = {Case{.shape = kShape, .routing = parse_routing("trace:" + same)},
                               Case{.shape = kShape}};
    load_traces(comm, cases);
    EXPECT_EQ(cases[0].trace->num_ranks, 2);
    EXPECT_EQ(cases[1].trace, nullptr);
    const auto digests = trace_digests(cases);
    EXPECT_EQ(digests.size(), 1U);
    EXPECT_EQ(digests.at("same.jsonl").size(), 16U);
  });
  const std::string other = write("other.jsonl", kLine1 + kLine0);  // the same in another order
  const std::string third = write("third.npy", Npy().bytes());
  const auto digest = [](const std::string& path) {
    Case one;
    one.trace = std::make_shared<const Trace>(read_trace(path));
    return trace_digests({one}).begin()->second;
  };
  EXPECT_EQ(digest(same), digest(other));
  EXPECT_NE(digest(same), digest(third));
  run_ranks(2, [&](Communicator& comm) {
    const auto complaint = [&](const std::string& path) -> std::string {
      std::vector<Case> cases = {Case{.shape = kShape, .routing = parse_routing("trace:" + path)}};
      try {
        load_traces(comm, cases);
      } catch (const Error& error) {
        EXPECT_TRUE(error.agreed());
        return error.what();
      }
      return "(none)";
    };
    EXPECT_EQ(complaint(comm.rank() == 0 ? same : other), "(none)");
    EXPECT_NE(complaint(comm.rank() == 0 ? same : third).find("rank 1: the file holds something"),
              std::string::npos);
    EXPECT_EQ(complaint(comm.rank() == 0 ? same : folder_),
              "rank 1: --routing trace:" + folder_ + ": a folder: give a file");
  });
}

}  // namespace
}  // namespace llep
