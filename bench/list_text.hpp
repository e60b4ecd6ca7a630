// SPDX-License-Identifier: MIT
#pragma once

#include <string>

namespace llep {

/// What can be measured: executors and transports, why those are missing that this machine cannot
/// have, ops, and the axes of a sweep.
std::string list_text();

}  // namespace llep
