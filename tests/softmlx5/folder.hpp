// SPDX-License-Identifier: MIT
#pragma once

#include <sys/types.h>

#include <mutex>
#include <string>

namespace softmlx5 {

/// The folder that the twins of one user share: rings and the device's description. Whoever uses it
/// holds a shared lock; the first to come removes what killed processes left, the last to leave
/// removes everything.
class Folder {
 public:
  explicit Folder(std::string path) : path_(std::move(path)) {}

  const std::string& path() const { return path_; }
  /// Makes and locks it, once. False (and one line) when that is not possible.
  bool enter();
  void leave();

 private:
  bool lock();
  /// Whether the file locked is still the one that later processes will find.
  bool is_current() const;
  void remove_contents() const;

  std::string path_;
  std::mutex mutex_;
  int lock_ = -1;
  pid_t owner_ = 0;  // a forked child shares the lock, and must not release it
};

/// This process's.
Folder& folder();

}  // namespace softmlx5
