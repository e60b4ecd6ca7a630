// SPDX-License-Identifier: MIT
#pragma once

#include <string>

#include "transport/verbs/handles.hpp"

namespace llep {

/// "completion status 12 (transport retry counter exceeded), vendor syndrome 0x81: the peer does
/// not answer; ...": the status in words, and what to look at.
std::string describe_failure(const ibv_wc& completion);

}  // namespace llep
