// SPDX-License-Identifier: MIT
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "bench/report_json.hpp"
#include "bench/result_file.hpp"
#include "tests/unit/report_fixture.hpp"

/// Results files of round numbers, written as llep run writes them and read again.
namespace llep::result_fixture {

/// A file that lives as long as the test.
class TemporaryResult {
 public:
  explicit TemporaryResult(const std::string& text) { std::ofstream(path_) << text; }
  ~TemporaryResult() { std::filesystem::remove(path_); }
  TemporaryResult(const TemporaryResult&) = delete;
  TemporaryResult& operator=(const TemporaryResult&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_ = testing::TempDir() + "llep_" +
                      testing::UnitTest::GetInstance()->current_test_info()->name() + ".json";
};

/// Two entries a result: dispatch and combine.
inline nlohmann::ordered_json make_document(const std::vector<CaseResult>& results) {
  const ContextInfo context = report_fixture::make_context();
  const RunOptions options;
  nlohmann::ordered_json document = {{"schema_version", kSchemaVersion},
                                     {"complete", true},
                                     {"context", to_json(context, options)},
                                     {"benchmarks", nlohmann::ordered_json::array()},
                                     {"errors", nlohmann::ordered_json::array()}};
  for (const CaseResult& result : results) {
    for (auto& entry : benchmark_entries(result, context, options)) {
      document["benchmarks"].push_back(entry);
    }
  }
  return document;
}

inline ResultFile read(const nlohmann::ordered_json& document) {
  return read_result(TemporaryResult(document.dump()).path());
}

}  // namespace llep::result_fixture
