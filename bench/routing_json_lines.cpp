// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "bench/routing_trace.hpp"

/// A record per line: {"step": 0, "rank": 0, "topk_idx": [[3, 17], [5, -1]]}.
namespace llep {

namespace {

using Json = nlohmann::json;

constexpr const char* kForm = R"({"step": 0, "rank": 0, "topk_idx": [[3, 17], [5, -1]]})";
constexpr std::array<std::string_view, 3> kKeys = {"step", "rank", "topk_idx"};

class JsonLinesReader {
 public:
  explicit JsonLinesReader(const std::string& path) { trace_.path = path; }

  Trace read() {
    std::ifstream file = open_trace(trace_.path);
    for (std::string line; std::getline(file, line);) {
      where_ = fmt::format("line {}", ++num_lines_);
      read_line(line);
    }
    if (records_.empty()) refuse_trace(trace_.path, "no line", fmt::format("right is {}", kForm));
    collect();
    return std::move(trace_);
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    refuse_trace(trace_.path, where_, what);
  }

  void read_line(const std::string& line) {
    const Json object = Json::parse(line, nullptr, false);
    if (object.is_discarded()) refuse(fmt::format("not JSON; right is {}", kForm));
    if (!object.is_object()) refuse(fmt::format("not an object; right is {}", kForm));
    for (const auto& [key, value] : object.items()) {
      if (std::find(kKeys.begin(), kKeys.end(), key) != kKeys.end()) continue;
      refuse(fmt::format("unknown key '{}'; right is {}", key, kForm));
    }
    const std::pair place(number(object, "step"), number(object, "rank"));
    TraceRecord record{.where = where_, .topk_idx = selections(object)};
    const auto [at, is_new] = records_.try_emplace(place, std::move(record));
    if (is_new) return;
    refuse(fmt::format("step {}, rank {} again, {} has it", place.first, place.second,
                       at->second.where));
  }

  int number(const Json& object, const char* key) const {
    const auto found = object.find(key);
    if (found == object.end()) refuse(fmt::format("no '{}'; right is {}", key, kForm));
    if (found->is_number_unsigned() &&
        found->get<std::uint64_t>() < std::numeric_limits<int>::max()) {
      return found->get<int>();
    }
    refuse(fmt::format("'{}' is {}, right is a whole number from 0 on", key, found->dump()));
  }

  std::vector<std::int64_t> selections(const Json& object) {
    const auto tokens = object.find("topk_idx");
    if (tokens == object.end() || !tokens->is_array()) {
      refuse(fmt::format("no list 'topk_idx'; right is {}", kForm));
    }
    std::vector<std::int64_t> all;
    for (std::size_t token = 0; token < tokens->size(); ++token) {
      append_token((*tokens)[token], token, all);
    }
    return all;
  }

  void append_token(const Json& experts, std::size_t token, std::vector<std::int64_t>& all) {
    if (!experts.is_array() || experts.empty()) {
      refuse(fmt::format("token {} is no list of experts; right is {}", token, kForm));
    }
    const auto num_topk = static_cast<int>(experts.size());
    if (trace_.num_topk == 0) trace_.num_topk = num_topk;
    if (num_topk != trace_.num_topk) {
      refuse(fmt::format("token {} has {} experts, the tokens before have {}", token, num_topk,
                         trace_.num_topk));
    }
    for (const Json& expert : experts) {
      // What is more than 63 bits hold would become another number.
      if (!expert.is_number_integer() || expert.get<double>() >= 0x1p63) {
        refuse(fmt::format("token {}: {} is no expert; right is its number, or -1", token,
                           expert.dump()));
      }
      all.push_back(expert.get<std::int64_t>());
    }
  }

  /// Every rank of every step, in order.
  void collect() {
    for (const auto& [place, record] : records_) {
      trace_.num_steps = std::max(trace_.num_steps, place.first + 1);
      trace_.num_ranks = std::max(trace_.num_ranks, place.second + 1);
    }
    std::pair next(0, 0);
    for (auto& [place, record] : records_) {
      if (place != next) break;
      trace_.records.push_back(std::move(record));
      if (++next.second == trace_.num_ranks) next = {next.first + 1, 0};
    }
    if (next.first == trace_.num_steps) return;
    refuse_trace(trace_.path, fmt::format("step {}, rank {}", next.first, next.second),
                 fmt::format("no line of it; right are all of {} steps and {} ranks",
                             trace_.num_steps, trace_.num_ranks));
  }

  Trace trace_;
  std::string where_;
  std::size_t num_lines_ = 0;
  std::map<std::pair<int, int>, TraceRecord> records_;  // by (step, rank)
};

}  // namespace

Trace read_json_lines(const std::string& path) { return JsonLinesReader(path).read(); }

}  // namespace llep
