// SPDX-License-Identifier: MIT
#pragma once

#include <algorithm>
#include <cstddef>
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
    for (std::uint32_t handle = 1; handle < objects_.size(); ++handle) {
      if (!objects_[handle]) return handle;
    }
    return 0;
  }
  T& put(std::uint32_t handle, std::unique_ptr<T> object) {
    end_ = std::max<std::size_t>(end_, handle + 1);
    objects_[handle] = std::move(object);
    return *objects_[handle];
  }
  T* find(std::uint64_t handle) const {
    return handle < objects_.size() ? objects_[handle].get() : nullptr;
  }
  void erase(std::uint64_t handle) { objects_[handle].reset(); }

  template <class F>
  void for_each(F f) const {
    for (std::size_t i = 0; i < end_; ++i) {
      if (objects_[i]) f(*objects_[i]);
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
  std::size_t end_ = 0;  // all handles ever used are below
};

}  // namespace softmlx5
