// SPDX-License-Identifier: MIT
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace llep {

/// What the process tells its caller. Larger is worse only in name: when ranks differ, the lowest
/// failing rank's code is everybody's.
enum class ExitCode : int {
  kOk = 0,
  kInternal = 1,
  kUsage = 2,
  kWrongData = 3,
  kDeadline = 4,
  kUnavailable = 5,
  kGateMissed = 6,
  kRegression = 7,
  kStopped = 130,  // by SIGINT or SIGTERM; shells give this number to the first
};

/// Host-side failure: "doing what: what is wrong, what would be right".
class Error : public std::runtime_error {
 public:
  explicit Error(ExitCode code, const std::string& message,
                 std::source_location where = std::source_location::current())
      : std::runtime_error(message), code_(code), where_(where) {}

  ExitCode code() const { return code_; }
  const std::source_location& where() const { return where_; }

  /// Whether all ranks throw this same error, so that one of them may speak for all.
  bool agreed() const { return agreed_; }
  void set_agreed() { agreed_ = true; }

 private:
  ExitCode code_;
  std::source_location where_;
  bool agreed_ = false;
};

}  // namespace llep
