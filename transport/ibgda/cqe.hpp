// SPDX-License-Identifier: MIT
#pragma once

#include <cstdint>

#include "transport/ibgda/wqe.hpp"

/// Completion queue entries of mlx5 adapters. Source: mlx5dv.h (struct mlx5_cqe64, mlx5_err_cqe).
namespace llep {

inline constexpr std::uint32_t kCqeBytes = 64;

/// The last eight bytes of an entry hold all that is needed of one that tells of success, and
/// whether it is there: one load reads them, so that neither can be of another lap than the other.
inline constexpr std::uint32_t kCqeTailBytes = 56;  // offset
/// The eight bytes before them: an error's syndromes.
inline constexpr std::uint32_t kCqeSyndromeBytes = 48;

struct CqeTail {
  std::uint64_t word = 0;

  /// Whether the adapter wrote it in the consumer's lap: its owner bit is that of lap number
  /// `consumed >> cqe_log2`, and memory that it never wrote is marked invalid.
  constexpr bool is_there(std::uint64_t consumed, std::uint32_t cqe_log2) const {
    constexpr std::uint32_t kInvalid = 15;  // MLX5_CQE_INVALID
    return opcode() != kInvalid && (word >> 56 & 1) == (consumed >> cqe_log2 & 1);
  }
  constexpr bool is_error() const {
    constexpr std::uint32_t kRequestError = 13;  // MLX5_CQE_REQ_ERR, and the responder's behind it
    return opcode() >= kRequestError;
  }
  /// The block of the send queue where the completed entry began: 16 bits of its position.
  constexpr std::uint16_t wqe_counter() const {
    return static_cast<std::uint16_t>((word >> 32 & 0xff) << 8 | (word >> 40 & 0xff));
  }
  /// Of the completed entry; errors only.
  constexpr std::uint32_t wqe_opcode() const { return static_cast<std::uint32_t>(word & 0xff); }

 private:
  constexpr std::uint32_t opcode() const { return static_cast<std::uint32_t>(word >> 60); }
};

/// Of an error: what happened (mlx5dv.h, MLX5_CQE_SYNDROME_*), and the vendor's word for it.
struct CqeSyndrome {
  std::uint32_t syndrome = 0;
  std::uint32_t vendor = 0;

  constexpr explicit CqeSyndrome(std::uint64_t word)
      : syndrome(static_cast<std::uint32_t>(word >> 56)),
        vendor(static_cast<std::uint32_t>(word >> 48 & 0xff)) {}
};

/// The 64-bit count behind 16 bits of it, which lie less than 65,536 ahead of an earlier count.
constexpr std::uint64_t extend(std::uint64_t earlier, std::uint16_t later) {
  return earlier + static_cast<std::uint16_t>(later - static_cast<std::uint16_t>(earlier));
}

}  // namespace llep
