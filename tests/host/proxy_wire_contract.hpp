// SPDX-License-Identifier: MIT
#pragma once

#include "transport/fifo/proxy_wire.hpp"

namespace llep {

/// Collective: every rank sends every other one rows, words and signals over several channels and
/// proxies, in random order, overwrites sources as soon as they are complete, and fails the test for
/// each word that is wrong once a signal has promised it. `words_apart`: words and signals lie in
/// other memory than rows.
void check_proxy_wire(Communicator& world, const MakeProxyWires& make, bool words_apart = false);

}  // namespace llep
