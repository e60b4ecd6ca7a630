// SPDX-License-Identifier: MIT
#include "common/communicator.hpp"

#include <algorithm>
#include <cstdint>
#include <exception>
#include <optional>

#include <fmt/format.h>

namespace llep {
namespace {

/// What `f` threw, as an Error; nothing if it returned.
std::optional<Error> error_of(const std::function<void()>& f) {
  try {
    f();
    return std::nullopt;
  } catch (const Error& error) {
    return error;
  } catch (const std::exception& error) {
    return Error(ExitCode::kInternal, error.what());
  } catch (...) {
    return Error(ExitCode::kInternal, "an exception that is no std::exception");
  }
}

}  // namespace

std::vector<std::string> gather_strings(Communicator& comm, const std::string& mine) {
  const auto num_bytes = gather_all(comm, static_cast<std::uint64_t>(mine.size()));
  const std::size_t slot_bytes = *std::max_element(num_bytes.begin(), num_bytes.end());
  std::vector<std::string> all(num_bytes.size());
  if (slot_bytes == 0) return all;

  std::string padded = mine;
  padded.resize(slot_bytes);
  const std::vector<char> slots = gather_all(comm, std::span<const char>(padded));
  for (std::size_t rank = 0; rank < all.size(); ++rank) {
    all[rank].assign(slots.data() + rank * slot_bytes, num_bytes[rank]);
  }
  return all;
}

void collectively(Communicator& comm, const std::function<void()>& f) {
  const std::optional<Error> error = error_of(f);
  agree(comm, error ? &*error : nullptr);
}

void agree(Communicator& comm, const Error* error) {
  const ExitCode mine = error != nullptr ? error->code() : ExitCode::kOk;
  // An Error whose code says kOk is still a failure, hence the flag beside the code.
  struct Outcome {
    std::int32_t failed;
    ExitCode code;
  };
  const auto outcomes = gather_all(comm, Outcome{.failed = error != nullptr, .code = mine});
  const auto lowest = std::find_if(outcomes.begin(), outcomes.end(),
                                   [](const Outcome& outcome) { return outcome.failed != 0; });
  if (lowest == outcomes.end()) return;

  const auto rank = static_cast<int>(lowest - outcomes.begin());
  const auto messages = gather_strings(comm, rank == comm.rank() ? error->what() : std::string());
  const std::string& message = messages[static_cast<std::size_t>(rank)];
  const bool told = error != nullptr && error->agreed();  // it names its rank already
  Error agreed(lowest->code,
               comm.size() == 1 || told ? message : fmt::format("rank {}: {}", rank, message));
  agreed.set_agreed();
  throw agreed;
}

}  // namespace llep
