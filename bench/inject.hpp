// SPDX-License-Identifier: MIT
#pragma once

#include <optional>
#include <string>

namespace llep {

/// What is timed. `pair` is a dispatch and a combine back to back.
enum class Op { kDispatch, kCombine, kPair };

constexpr const char* to_string(Op op) {
  switch (op) {
    case Op::kDispatch: return "dispatch";
    case Op::kCombine: return "combine";
    case Op::kPair: break;
  }
  return "pair";
}

/// A fault made on purpose, to prove that it is caught and named.
struct Injection {
  enum class Kind {
    kCorrupt,   // one row's bits
    kDrop,      // one signal is not sent
    kMisroute,  // one entry of the routing is not what it says
    kDelay,     // work that lasts `us` before the op
    kHang,      // the rank stops taking part
    kKill,      // the process ends
    kStall,     // the rank's proxies stop reading
    kBreak,     // a link of the rank's proxies breaks
  };
  Kind kind = Kind::kCorrupt;
  int rank = 0;
  std::optional<int> iteration = {};  // timed iterations count from 0; nothing: all of them
  double us = kDefaultDelayUs;        // kDelay alone
  Op op = Op::kDispatch;              // dispatch or combine

  static constexpr double kDefaultDelayUs = 1000.0;

  bool hits(int at_rank, int at_iteration, Op at_op) const {
    return at_rank == rank && at_op == op && (!iteration || *iteration == at_iteration);
  }
  friend bool operator==(const Injection&, const Injection&) = default;
};

const char* to_string(Injection::Kind kind);

/// "corrupt:rank=1,iter=3,op=combine", the form parse_injection reads.
std::string to_string(const Injection& injection);

/// Throws Error(kUsage) with what is wrong and the form that is right.
Injection parse_injection(const std::string& text);

}  // namespace llep
