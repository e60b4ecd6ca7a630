// SPDX-License-Identifier: MIT
#include "bench/option_values.hpp"

#include <charconv>
#include <optional>

#include "common/error.hpp"

namespace llep {
namespace {

template <class T, class... Base>
std::optional<T> read_number(std::string_view text, Base... base) {
  T value = {};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value, base...);
  if (error != std::errc() || stop != end) return std::nullopt;
  return value;
}

/// 0.1 or 10%; nothing: not from 0 to 1.
std::optional<double> read_share(std::string_view text) {
  const bool percent = text.ends_with('%');
  const auto number = read_number<double>(text.substr(0, text.size() - percent));
  const double share = number.value_or(-1.0) / (percent ? 100.0 : 1.0);
  if (!(share >= 0.0 && share <= 1.0)) return std::nullopt;
  return share;
}

constexpr const char* kMaskForm = "a number of selections, or a share of them as 0.1 or 10%";
constexpr const char* kCheckForm = "off, once, every:N or all";

}  // namespace

void usage_error(const std::string& message) { throw Error(ExitCode::kUsage, message); }

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  while (true) {
    const auto at = text.find(separator);
    parts.emplace_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

int parse_int(const std::string& text, int least, int most) {
  const auto value = read_number<int>(text);
  if (!value || *value < least) {
    usage_error(fmt::format("'{}' is not a whole number of at least {}", text, least));
  }
  if (*value > most) usage_error(fmt::format("'{}' is more than {}", text, most));
  return *value;
}

int parse_power_of_two(const std::string& text) {
  const int value = parse_int(text, 2, 1 << 24);
  if ((value & (value - 1)) != 0) usage_error(fmt::format("'{}' is not a power of two", text));
  return value;
}

std::uint64_t parse_seed(const std::string& text) {
  const bool hexadecimal = text.starts_with("0x") || text.starts_with("0X");
  const auto value = hexadecimal ? read_number<std::uint64_t>(std::string_view(text).substr(2), 16)
                                 : read_number<std::uint64_t>(text);
  if (!value) {
    usage_error(fmt::format("'{}' is not a whole number below 2^64, decimal or 0x...", text));
  }
  return *value;
}

double parse_positive(const std::string& text) {
  const auto value = read_number<double>(text);
  // A bound that makes every unit of time fit its integers.
  if (!value || !(*value > 0.0 && *value <= 1e9)) {
    usage_error(fmt::format("'{}' is not a number above 0 and at most 1e9", text));
  }
  return *value;
}

double parse_between(const std::string& text, double least, double most) {
  const auto value = read_number<double>(text);
  if (!value || !(*value >= least && *value <= most)) {
    usage_error(fmt::format("'{}' is not a number from {} to {}", text, least, most));
  }
  return *value;
}

double parse_share(const std::string& text) {
  const auto share = read_share(text);
  if (!share) usage_error(fmt::format("'{}' is not a share from 0 to 1, as 0.1 or 10%", text));
  return *share;
}

bool parse_bool(const std::string& text) {
  if (text == "true" || text == "1" || text == "on" || text == "yes") return true;
  if (text == "false" || text == "0" || text == "off" || text == "no") return false;
  usage_error(fmt::format("'{}' is not true or false", text));
}

MaskSpec parse_mask(const std::string& text) {
  if (const auto selections = read_number<int>(text); selections && *selections >= 0) {
    return {.selections = *selections, .share = 0.0};
  }
  const auto share = read_share(text);
  if (!share) usage_error(fmt::format("'{}' is not {}", text, kMaskForm));
  return {.selections = 0, .share = *share};
}

CheckPolicy parse_check(const std::string& text) {
  using Kind = CheckPolicy::Kind;
  if (text == "off") return {.kind = Kind::kOff};
  if (text == "once") return {.kind = Kind::kOnce};
  if (text == "all") return {.kind = Kind::kAll};
  if (text.starts_with("every:")) {
    const auto every = read_number<int>(std::string_view(text).substr(6));
    if (every && *every >= 1) return {.kind = Kind::kEvery, .every = *every};
  }
  usage_error(fmt::format("'{}' is not {}", text, kCheckForm));
}

UnevenTokens parse_uneven_tokens(const std::vector<std::string>& values) {
  if (values.size() == 1 && values.front() == "random") return {.per_rank = {}, .random = true};
  UnevenTokens uneven;
  for (const std::string& value : values) uneven.per_rank.push_back(parse_int(value, 0));
  return uneven;
}

}  // namespace llep
