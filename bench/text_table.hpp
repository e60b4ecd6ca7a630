// SPDX-License-Identifier: MIT
#pragma once

#include <string>
#include <vector>

namespace llep {

/// A table that is known whole before it is printed.
struct TextTable {
  struct Column {
    std::string name;  // with its unit
    bool left = false;
  };
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;  // [rows][columns]
};

/// Columns as wide as their widest cell.
std::string plain_text(const TextTable& table);
/// GitHub's tables.
std::string markdown_text(const TextTable& table);

}  // namespace llep
