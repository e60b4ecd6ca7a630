// SPDX-License-Identifier: MIT
#include "bench/inject.hpp"

#include <array>

#include "bench/option_values.hpp"

namespace llep {
namespace {

using Kind = Injection::Kind;
constexpr std::array kKinds = {Kind::kCorrupt, Kind::kDrop, Kind::kMisroute,
                               Kind::kDelay,   Kind::kHang, Kind::kKill,
                               Kind::kStall,   Kind::kBreak};
constexpr std::array kOps = {Op::kDispatch, Op::kCombine};
constexpr const char* kForm = "KIND:rank=R,iter=I|all[,us=N][,op=dispatch|combine]";

struct Given {
  bool rank = false;
  bool iteration = false;
  bool us = false;
};

/// One "key=value" of the text.
void read_part(const std::string& part, Injection& injection, Given& given) {
  const auto equals = part.find('=');
  const std::string key = part.substr(0, equals);
  const std::string value = equals == std::string::npos ? "" : part.substr(equals + 1);
  if (key == "rank") {
    injection.rank = parse_int(value, 0);
    given.rank = true;
  } else if (key == "iter") {
    if (value != "all") injection.iteration = parse_int(value, 0);
    given.iteration = true;
  } else if (key == "us") {
    injection.us = parse_positive(value);
    given.us = true;
  } else if (key == "op") {
    injection.op = parse_choice<Op>(value, kOps);
  } else {
    usage_error(fmt::format("'{}' is not a part of {}", part, kForm));
  }
}

}  // namespace

const char* to_string(Injection::Kind kind) {
  switch (kind) {
    case Kind::kCorrupt: return "corrupt";
    case Kind::kDrop: return "drop";
    case Kind::kMisroute: return "misroute";
    case Kind::kDelay: return "delay";
    case Kind::kHang: return "hang";
    case Kind::kKill: return "kill";
    case Kind::kStall: return "stall";
    case Kind::kBreak: break;
  }
  return "break";
}

std::string to_string(const Injection& injection) {
  const auto& iteration = injection.iteration;
  std::string text = fmt::format("{}:rank={},iter={}", to_string(injection.kind), injection.rank,
                                 iteration ? std::to_string(*iteration) : "all");
  if (injection.kind == Kind::kDelay) text += fmt::format(",us={}", injection.us);
  return text + ",op=" + to_string(injection.op);
}

Injection parse_injection(const std::string& text) {
  const auto colon = text.find(':');
  Injection injection{.kind = parse_choice<Kind>(text.substr(0, colon), kKinds)};
  Given given;
  if (colon != std::string::npos) {
    for (const std::string& part : split(text.substr(colon + 1), ',')) {
      read_part(part, injection, given);
    }
  }
  if (!given.rank || !given.iteration) {
    usage_error(fmt::format("'{}' needs rank= and iter=: {}", text, kForm));
  }
  if (given.us && injection.kind != Kind::kDelay) {
    usage_error(fmt::format("'{}': us= belongs to delay", text));
  }
  if (injection.kind == Kind::kMisroute && injection.op != Op::kDispatch) {
    usage_error(fmt::format("'{}': only dispatch sends a routing", text));
  }
  return injection;
}

}  // namespace llep
