// SPDX-License-Identifier: MIT
#include "bench/routing_pattern.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "bench/option_values.hpp"

namespace llep {

namespace {

using Kind = RoutingPattern::Kind;

struct PatternName {
  Kind kind;
  const char* name;
  const char* argument = "";  // its form; empty: takes none
};
constexpr std::array<PatternName, 10> kNames = {{
    {Kind::kUniform, "uniform"},
    {Kind::kBalanced, "balanced"},
    {Kind::kZipf, "zipf", "S"},
    {Kind::kHotExpert, "hot-expert", "F"},
    {Kind::kHotRank, "hot-rank", "F"},
    {Kind::kLocal, "local"},
    {Kind::kRemote, "remote"},
    {Kind::kPermute, "permute"},
    {Kind::kGroupLimited, "group-limited", "N,G"},
    {Kind::kTrace, "trace", "FILE"},
}};

/// Of 2048 experts the last has a weight of 2^-44 then; weights are whole numbers of 2^-52.
constexpr double kMostZipfExponent = 4.0;

std::string form(const PatternName& one) {
  return fmt::format("{}{}{}", one.name, *one.argument == '\0' ? "" : ":", one.argument);
}

const PatternName& find_name(const std::string& text) {
  const std::string name = text.substr(0, text.find(':'));
  std::string forms;
  for (const PatternName& one : kNames) {
    const bool takes_argument = *one.argument != '\0';
    const bool has_argument = name.size() + 1 < text.size();
    if (name == one.name && (takes_argument ? has_argument : text == name)) return one;
    forms += (forms.empty() ? "" : ", ") + form(one);
  }
  usage_error(fmt::format("'{}' is not one of {}", text, forms));
}

void parse_group_limits(const std::string& argument, RoutingPattern& pattern) {
  const auto numbers = split(argument, ',');
  if (numbers.size() != 2) {
    usage_error(fmt::format("'group-limited:{}' is not group-limited:N,G", argument));
  }
  pattern.num_groups = parse_int(numbers[0], 1);
  pattern.groups_per_token = parse_int(numbers[1], 1);
  if (pattern.groups_per_token > pattern.num_groups) {
    usage_error(fmt::format("'group-limited:{}' picks {} of {} groups", argument,
                            pattern.groups_per_token, pattern.num_groups));
  }
}

[[noreturn]] void misfit(const RoutingPattern& pattern, const std::string& why) {
  usage_error(fmt::format("--routing {}: {}", to_string(pattern), why));
}

void check_groups(const RoutingPattern& pattern, const MoeShape& shape) {
  if (shape.num_experts % pattern.num_groups != 0) {
    misfit(pattern, fmt::format("{} experts do not make {} equal groups", shape.num_experts,
                                pattern.num_groups));
  }
  const int within = shape.num_experts / pattern.num_groups * pattern.groups_per_token;
  if (shape.num_topk > within) {
    misfit(pattern,
           fmt::format("num-topk {} is above the {} experts of {} of {} groups", shape.num_topk,
                       within, pattern.groups_per_token, pattern.num_groups));
  }
}

}  // namespace

RoutingPattern parse_routing(const std::string& text) {
  const PatternName& name = find_name(text);
  RoutingPattern pattern{.kind = name.kind};
  const std::string argument = text.substr(std::min(text.size(), text.find(':') + 1));
  switch (name.kind) {
    case Kind::kZipf: pattern.number = parse_between(argument, 0.0, kMostZipfExponent); break;
    case Kind::kHotExpert:
    case Kind::kHotRank: pattern.number = parse_between(argument, 0.0, 1.0); break;
    case Kind::kGroupLimited: parse_group_limits(argument, pattern); break;
    case Kind::kTrace: pattern.file = argument; break;
    default: break;
  }
  return pattern;
}

std::string to_string(const RoutingPattern& pattern) {
  const auto name = std::find_if(kNames.begin(), kNames.end(),
                                 [&](const PatternName& one) { return one.kind == pattern.kind; });
  switch (pattern.kind) {
    case Kind::kZipf:
    case Kind::kHotExpert:
    case Kind::kHotRank: return fmt::format("{}:{}", name->name, pattern.number);
    case Kind::kGroupLimited:
      return fmt::format("{}:{},{}", name->name, pattern.num_groups, pattern.groups_per_token);
    case Kind::kTrace: return fmt::format("{}:{}", name->name, pattern.file);
    default: return name->name;
  }
}

std::string label(const RoutingPattern& pattern) {
  RoutingPattern named = pattern;
  named.file = std::filesystem::path(pattern.file).filename().string();
  return to_string(named);
}

std::vector<std::string> join_group_limits(const std::vector<std::string>& parts) {
  const auto is_number = [](const std::string& part) {
    return !part.empty() && part.find_first_not_of("0123456789") == std::string::npos;
  };
  std::vector<std::string> joined;
  for (const std::string& part : parts) {
    if (!joined.empty() && joined.back().starts_with("group-limited:") && is_number(part)) {
      joined.back() += "," + part;
    } else {
      joined.push_back(part);
    }
  }
  return joined;
}

void check_fits(const RoutingPattern& pattern, const MoeShape& shape) {
  const int here = shape.num_local_experts();
  const int elsewhere = shape.num_experts - here;
  const bool one_rank = pattern.kind == Kind::kLocal || pattern.kind == Kind::kPermute;
  if (one_rank && shape.num_topk > here) {
    misfit(pattern, fmt::format("num-topk {} is above the {} expert{} of a rank", shape.num_topk,
                                here, here == 1 ? "" : "s"));
  }
  if (pattern.kind == Kind::kRemote && shape.num_topk > elsewhere) {
    misfit(pattern, fmt::format("num-topk {} is above the {} experts of the {} other ranks",
                                shape.num_topk, elsewhere, shape.num_ranks - 1));
  }
  if (pattern.kind == Kind::kGroupLimited) check_groups(pattern, shape);
}

}  // namespace llep
