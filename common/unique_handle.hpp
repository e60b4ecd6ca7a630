// SPDX-License-Identifier: MIT
#pragma once

#include <utility>

namespace llep {

/// Owns one C handle (stream, event, descriptor, mapping): `Close` is called once, unless `Null`.
template <class Handle, auto Close, Handle Null = Handle{}>
class UniqueHandle {
 public:
  UniqueHandle() = default;
  explicit UniqueHandle(Handle handle) : handle_(handle) {}
  UniqueHandle(UniqueHandle&& other) noexcept : handle_(std::exchange(other.handle_, Null)) {}
  UniqueHandle& operator=(UniqueHandle&& other) noexcept {
    std::swap(handle_, other.handle_);
    return *this;
  }
  ~UniqueHandle() {
    if (handle_ != Null) Close(handle_);
  }

  Handle get() const { return handle_; }
  explicit operator bool() const { return handle_ != Null; }

 private:
  Handle handle_ = Null;
};

}  // namespace llep
