// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace softmlx5 {

/// Objects by small handles, from 1.
template <class T>
class Table {
 public:
  explicit Table(std::size_t most) : objects_(most) {}

  /// A free handle; 0: none is left.
  std::uint32_t free_handle() const {
    for (std::size_t i = 1; i < objects_.size(); ++i) {
      if (!objects_[i]) return static_cast<std::uint32_t>(i);
    }
    return 0;
  }
  T& put(std::uint32_t handle, std::unique_ptr<T> object) {
    objects_[handle] = std::move(object);
    return *objects_[handle];
  }
  T* find(std::uint64_t handle) const {
    return handle < objects_.size() ? objects_[handle].get() : nullptr;
  }
  void erase(std::uint64_t handle) { objects_[handle].reset(); }

  template <class F>
  void for_each(F f) const {
    for (const auto& object : objects_) {
      if (object) f(*object);
    }
  }
  template <class Predicate>
  void erase_if(Predicate predicate) {
    for (auto& object : objects_) {
      if (object && predicate(*object)) object.reset();
    }
  }

 private:
  std::vector<std::unique_ptr<T>> objects_;
};

}  // namespace softmlx5
