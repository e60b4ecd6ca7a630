// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace llep {

/// One named part of the symmetric heap.
struct HeapField {
  std::string name;
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
};

/// Lays fields out one after the other: every size and offset of the heap is written here once.
class FieldList {
 public:
  static constexpr std::uint64_t kAlignment = 1024;

  /// Offset of a new field.
  std::uint64_t add(const std::string& name, std::uint64_t bytes);
  std::uint64_t total_bytes() const { return total_; }
  const std::vector<HeapField>& fields() const { return fields_; }

 private:
  std::vector<HeapField> fields_;
  std::uint64_t total_ = 0;
};

}  // namespace llep
