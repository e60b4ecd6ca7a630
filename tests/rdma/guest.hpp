// SPDX-License-Identifier: MIT
#pragma once

namespace llep {

/// Of VerbsOptions, as in expect.sh: answers of a slow guest take longer than a network's.
inline constexpr int kGuestAckTimeout = 22;

}  // namespace llep
