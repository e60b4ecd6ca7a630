// SPDX-License-Identifier: MIT
#include "tests/softmlx5/folder.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "tests/softmlx5/log.hpp"
#include "tests/softmlx5/options.hpp"

namespace softmlx5 {

namespace fs = std::filesystem;

bool Folder::enter() {
  const std::lock_guard guard(mutex_);
  if (lock_ >= 0) return true;
  while (lock()) {
    if (is_current()) {
      owner_ = ::getpid();
      return true;
    }
    ::close(lock_);
    lock_ = -1;
  }
  log_line("making the folder {}: {}; SOFTMLX5_FOLDER names another one", path_,
           std::strerror(errno));
  return false;
}

bool Folder::lock() {
  if (::mkdir(path_.c_str(), 0700) != 0 && errno != EEXIST) return false;
  lock_ = ::open((path_ + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  // The last to leave may be removing the folder: it will be made again.
  if (lock_ < 0) return errno == ENOENT && lock();
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) remove_contents();
  int locked = -1;
  do {
    locked = ::flock(lock_, LOCK_SH);
  } while (locked != 0 && errno == EINTR);
  return locked == 0;
}

bool Folder::is_current() const {
  struct stat held = {};
  struct stat found = {};
  return ::fstat(lock_, &held) == 0 && ::stat((path_ + "/lock").c_str(), &found) == 0 &&
         held.st_ino == found.st_ino && held.st_dev == found.st_dev;
}

void Folder::remove_contents() const {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(path_, ignored)) {
    if (entry.path().filename() != "lock") fs::remove_all(entry.path(), ignored);
  }
}

void Folder::leave() {
  const std::lock_guard guard(mutex_);
  if (lock_ < 0 || owner_ != ::getpid()) return;
  if (::flock(lock_, LOCK_EX | LOCK_NB) == 0) {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  ::close(lock_);
  lock_ = -1;
}

Folder& folder() {
  // Never destroyed: the hooks outlive every destructor.
  static auto* const instance = new Folder(options().folder);
  return *instance;
}

}  // namespace softmlx5
