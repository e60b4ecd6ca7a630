// SPDX-License-Identifier: MIT
#include "transport/transport.hpp"

namespace llep {

void Transport::stall_proxies() {
  throw Error(ExitCode::kUsage,
              "injecting stall: transport " + std::string(name()) + " has no proxy to stall");
}

void Transport::break_link() {
  throw Error(ExitCode::kUsage,
              "injecting break: transport " + std::string(name()) + " has no link that can be broken");
}

}  // namespace llep
