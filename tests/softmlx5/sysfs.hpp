// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace softmlx5 {

/// What /sys/class/infiniband* would be on a kernel with the twin's devices, as files in folder().
class Sysfs {
 public:
  Sysfs();

  /// Where libibverbs shall look (its SYSFS_PATH).
  const std::string& root() const { return root_; }
  /// Where a path leads to: a twin's device file to /dev/null, /sys/class/infiniband* to the files
  /// here, anything else to itself. Makes the files when they are first asked for.
  const char* redirect(const char* path, std::string& storage);
  /// The device whose file this is; -1: none's.
  int device_of(const char* path) const;

 private:
  void make();

  std::string root_;
};

Sysfs& sysfs();

}  // namespace softmlx5
