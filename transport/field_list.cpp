// SPDX-License-Identifier: MIT
#include "transport/field_list.hpp"

namespace llep {

std::uint64_t FieldList::add(const std::string& name, std::uint64_t bytes) {
  const std::uint64_t offset = total_;
  fields_.push_back(HeapField{.name = name, .offset = offset, .bytes = bytes});
  total_ = (offset + bytes + kAlignment - 1) / kAlignment * kAlignment;
  return offset;
}

}  // namespace llep
