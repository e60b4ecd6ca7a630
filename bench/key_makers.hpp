// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <array>
#include <iterator>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "bench/option_keys.hpp"
#include "bench/option_values.hpp"

/// Keys of the usual kinds, from a member of RunOptions. Only for files that list keys.
namespace llep {

using OptionJson = nlohmann::ordered_json;
using OptionValues = std::vector<std::string>;

/// What the help says of a key; the rest follows from the member's type.
struct About {
  const char* name;
  const char* brief;
  const char* group;
  const char* values;
  const char* help;
};

inline OptionKey make_key(const About& about, OptionKey::Kind kind) {
  return {.name = about.name,
          .brief = about.brief,
          .kind = kind,
          .group = about.group,
          .values = about.values,
          .help = about.help,
          .set = {},
          .show = {}};
}

inline void refuse_repeats(const OptionValues& values) {
  OptionValues sorted = values;
  std::sort(sorted.begin(), sorted.end());
  const auto twice = std::adjacent_find(sorted.begin(), sorted.end());
  if (twice != sorted.end()) usage_error("'" + *twice + "' is listed twice");
}

/// An axis of the sweep: `parse` reads one value, `show_one` is its inverse.
template <class T, class Parse, class ShowOne>
OptionKey axis(const About& about, std::vector<T> RunOptions::*member, Parse parse,
               ShowOne show_one) {
  OptionKey key = make_key(about, OptionKey::Kind::kList);
  key.set = [=](RunOptions& options, const OptionValues& values) {
    refuse_repeats(values);
    std::vector<T> parsed;
    std::transform(values.begin(), values.end(), std::back_inserter(parsed), parse);
    options.*member = std::move(parsed);
  };
  key.show = [=](const RunOptions& options) {
    if ((options.*member).empty()) return OptionJson(nullptr);
    OptionJson list = OptionJson::array();
    for (const T& value : options.*member) list.push_back(show_one(value));
    return list;
  };
  return key;
}

inline OptionKey int_axis(const About& about, std::vector<int> RunOptions::*member) {
  return axis(
      about, member, [](const std::string& text) { return parse_int(text, 1); },
      [](int value) { return value; });
}

template <class T, std::size_t N>
OptionKey choice_axis(const About& about, std::vector<T> RunOptions::*member,
                      const std::array<T, N>& choices) {
  return axis(
      about, member, [&choices](const std::string& text) { return parse_choice<T>(text, choices); },
      [](T value) { return to_string(value); });
}

template <class T, class Parse, class Show>
OptionKey scalar(const About& about, T RunOptions::*member, Parse parse, Show show) {
  OptionKey key = make_key(about, OptionKey::Kind::kScalar);
  key.set = [=](RunOptions& options, const OptionValues& values) {
    options.*member = parse(values.front());
  };
  key.show = [=](const RunOptions& options) { return OptionJson(show(options.*member)); };
  return key;
}

inline OptionKey int_scalar(const About& about, int RunOptions::*member, int least,
                            int most = std::numeric_limits<int>::max()) {
  return scalar(
      about, member, [=](const std::string& text) { return parse_int(text, least, most); },
      [](int value) { return value; });
}

template <class T, std::size_t N>
OptionKey choice(const About& about, T RunOptions::*member, const std::array<T, N>& choices) {
  return scalar(
      about, member, [&choices](const std::string& text) { return parse_choice<T>(text, choices); },
      [](T value) { return to_string(value); });
}

inline OptionKey on_off(const About& about, bool RunOptions::*member) {
  return scalar(about, member, parse_bool, [](bool value) { return value; });
}

inline OptionKey flag(const About& about, bool RunOptions::*member) {
  OptionKey key = on_off(about, member);
  key.kind = OptionKey::Kind::kFlag;
  return key;
}

}  // namespace llep
