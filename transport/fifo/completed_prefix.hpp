// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>
#include <deque>

namespace llep {

/// How far the work of a ring is complete, while it completes group by group and not in order.
/// Groups are opened in the order of their first work; each knows the ring position before that.
class CompletedPrefix {
 public:
  /// `begin`: the `end` of the work taken before the group's first. Returns the group's number.
  std::uint64_t open(std::uint64_t begin) {
    groups_.push_back({.begin = begin});
    return first_ + groups_.size() - 1;
  }

  void complete(std::uint64_t group) {
    groups_[group - first_].complete = true;
    while (!groups_.empty() && groups_.front().complete) {
      groups_.pop_front();
      ++first_;
    }
  }

  /// `end`: of the last work taken.
  std::uint64_t position(std::uint64_t end) const {
    return groups_.empty() ? end : groups_.front().begin;
  }

 private:
  struct Group {
    std::uint64_t begin = 0;
    bool complete = false;
  };
  std::deque<Group> groups_;
  std::uint64_t first_ = 0;
};

}  // namespace llep
