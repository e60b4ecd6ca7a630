// SPDX-License-Identifier: MIT
#pragma once

#include <fmt/format.h>

#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/options.hpp"

/// Text to values, the same for command line, environment and config. Each throws Error(kUsage)
/// with the text and what would be right; the caller puts the option's name in front.
namespace llep {

[[noreturn]] void usage_error(const std::string& message);

/// "a,b" as {"a", "b"}; empty parts stay and are refused by whoever reads them.
std::vector<std::string> split(std::string_view text, char separator);

int parse_int(const std::string& text, int least, int most = std::numeric_limits<int>::max());
int parse_power_of_two(const std::string& text);  // from 2 on
std::uint64_t parse_seed(const std::string& text);  // decimal or 0x hexadecimal
double parse_positive(const std::string& text);
double parse_at_least_zero(const std::string& text);
double parse_share(const std::string& text);  // 0.1 or 10%
bool parse_bool(const std::string& text);
MaskSpec parse_mask(const std::string& text);
CheckPolicy parse_check(const std::string& text);
UnevenTokens parse_uneven_tokens(const std::vector<std::string>& values);

/// One of `choices`, by its to_string().
template <class T>
T parse_choice(const std::string& text, std::span<const T> choices) {
  std::string names;
  for (const T& choice : choices) {
    if (text == to_string(choice)) return choice;
    names += fmt::format("{}{}", names.empty() ? "" : ", ", to_string(choice));
  }
  usage_error(fmt::format("'{}' is not one of {}", text, names));
}

}  // namespace llep
