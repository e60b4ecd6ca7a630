// SPDX-License-Identifier: MIT
#pragma once

#include <infiniband/verbs.h>
#include <rdma/rdma_user_ioctl_cmds.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace softmlx5 {

/// The attributes of a call to the uverbs device (rdma/rdma_user_ioctl_cmds.h).
class Attributes {
 public:
  explicit Attributes(ib_uverbs_ioctl_hdr* header) : header_(header) {}

  std::uint32_t object() const { return header_->object_id; }
  std::uint32_t method() const { return header_->method_id; }
  bool has(int id) const { return find(id) != nullptr; }
  std::size_t bytes(int id) const { return has(id) ? find(id)->len : 0; }

  /// Zero where the caller gives less; values of up to 8 bytes are in the attribute itself.
  template <class T>
  T get(int id) const {
    T value = {};
    const ib_uverbs_attr* attribute = find(id);
    if (attribute == nullptr) return value;
    // Handles and descriptors say length 0.
    const std::size_t given = attribute->len == 0 ? sizeof attribute->data : attribute->len;
    const void* from =
        attribute->len > sizeof attribute->data ? pointer(*attribute) : &attribute->data;
    std::memcpy(static_cast<void*>(&value), from, std::min(given, sizeof value));
    return value;
  }
  std::uint64_t number(int id) const { return get<std::uint64_t>(id); }

  /// As much as the caller has room for, zeros behind it.
  template <class T>
  void put(int id, const T& value) {
    put_bytes(id, &value, sizeof value);
  }
  void put_bytes(int id, const void* from, std::size_t count) {
    ib_uverbs_attr* attribute = find(id);
    if (attribute == nullptr) return;
    const std::size_t given = std::min<std::size_t>(attribute->len, count);
    auto* to = static_cast<std::byte*>(pointer(*attribute));
    std::memcpy(to, from, given);
    std::memset(to + given, 0, attribute->len - given);
    attribute->flags |= UVERBS_ATTR_F_VALID_OUTPUT;
  }
  /// A response that says how much of it there is.
  template <class T>
  void put_counted(int id, T value) {
    value.response_length =
        static_cast<decltype(value.response_length)>(std::min(bytes(id), sizeof value));
    put(id, value);
  }
  /// A handle or descriptor.
  void put_handle(int id, std::uint64_t handle) {
    if (ib_uverbs_attr* attribute = find(id)) attribute->data = handle;
  }

 private:
  static void* pointer(const ib_uverbs_attr& attribute) {
    return reinterpret_cast<void*>(static_cast<std::uintptr_t>(attribute.data));
  }
  ib_uverbs_attr* find(int id) const {
    for (int i = 0; i < header_->num_attrs; ++i) {
      if (header_->attrs[i].attr_id == id) return &header_->attrs[i];
    }
    return nullptr;
  }

  ib_uverbs_ioctl_hdr* header_;
};

}  // namespace softmlx5
