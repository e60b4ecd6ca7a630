// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

#include "common/moe_shape.hpp"

namespace llep {

/// Where tokens go: how a routing's selections are drawn. docs/routing.md says it at length.
struct RoutingPattern {
  enum class Kind {
    kUniform,       // the largest of random scores
    kBalanced,      // each expert gets as many rows as any other, up to one
    kZipf,          // the expert of rank i in popularity with weight i^-number
    kHotExpert,     // expert 0 with probability `number`
    kHotRank,       // rank 0 with probability `number`
    kLocal,         // the own rank
    kRemote,        // all other ranks
    kPermute,       // the next rank
    kGroupLimited,  // the best of the best groups of experts
    kTrace,         // what a file says
  };
  Kind kind = Kind::kUniform;
  double number = 0.0;
  int num_groups = 0;        // kGroupLimited
  int groups_per_token = 0;  // kGroupLimited
  std::string file;          // kTrace

  friend bool operator==(const RoutingPattern&, const RoutingPattern&) = default;
};

/// Throws Error(kUsage) with what is wrong and the form that is right.
RoutingPattern parse_routing(const std::string& text);

/// "zipf:1.2", the form parse_routing reads.
std::string to_string(const RoutingPattern& pattern);

/// The same for names and people: a trace's file without its folder.
std::string label(const RoutingPattern& pattern);

/// Of a list cut at its commas: "group-limited:4", "2" belong together.
std::vector<std::string> join_group_limits(const std::vector<std::string>& parts);

/// Throws Error(kUsage) where no routing of the (valid) shape has the pattern. What a trace holds
/// is not looked at.
void check_fits(const RoutingPattern& pattern, const MoeShape& shape);

}  // namespace llep
