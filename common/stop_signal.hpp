// SPDX-License-Identifier: MIT
#pragma once

namespace llep {

/// From now on the first SIGINT or SIGTERM is only remembered, so that a run can end in order; the
/// second one ends the process as ever. Threads that wait in the kernel go on waiting.
void remember_stop_signals();

/// The signal that came; 0: none.
int stop_signal();

}  // namespace llep
