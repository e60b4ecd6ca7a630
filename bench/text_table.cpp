// SPDX-License-Identifier: MIT
#include "bench/text_table.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace llep {
namespace {

std::vector<std::string> names_of(const TextTable& table) {
  std::vector<std::string> names;
  for (const TextTable::Column& column : table.columns) names.push_back(column.name);
  return names;
}

std::vector<std::size_t> widths_of(const TextTable& table) {
  std::vector<std::size_t> widths;
  for (std::size_t i = 0; i < table.columns.size(); ++i) {
    std::size_t width = table.columns[i].name.size();
    for (const auto& row : table.rows) width = std::max(width, row[i].size());
    widths.push_back(width);
  }
  return widths;
}

std::string markdown_line(const std::vector<std::string>& cells) {
  std::string line = "|";
  for (const std::string& cell : cells) {
    line += ' ';
    for (const char c : cell) line += c == '|' ? std::string("\\|") : std::string(1, c);
    line += " |";
  }
  return line + "\n";
}

}  // namespace

std::string plain_text(const TextTable& table) {
  const std::vector<std::size_t> widths = widths_of(table);
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string text;
    for (std::size_t i = 0; i < cells.size(); ++i) {
      text += i == 0 ? "" : "  ";
      text += table.columns[i].left ? fmt::format("{:<{}}", cells[i], widths[i])
                                    : fmt::format("{:>{}}", cells[i], widths[i]);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    return text + "\n";
  };
  std::string text = line(names_of(table));
  for (const auto& row : table.rows) text += line(row);
  return text;
}

std::string markdown_text(const TextTable& table) {
  std::vector<std::string> rule;
  for (const TextTable::Column& column : table.columns)
    rule.push_back(column.left ? "---" : "---:");
  std::string text = markdown_line(names_of(table)) + markdown_line(rule);
  for (const auto& row : table.rows) text += markdown_line(row);
  return text;
}

}  // namespace llep
