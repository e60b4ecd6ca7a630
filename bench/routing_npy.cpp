// SPDX-License-Identifier: MIT
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string_view>
#include <utility>

#include "bench/option_values.hpp"
#include "bench/routing_trace.hpp"

/// numpy.save's format (NEP 1): magic, version, length of the header, the header as the text of a
/// Python dict, then the array.
namespace llep {

namespace {

static_assert(std::endian::native == std::endian::little, "arrays are little-endian");

constexpr std::string_view kMagic = "\x93NUMPY";

template <class T>
T load(const std::string& bytes, std::size_t at) {
  T value = {};
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

class NpyReader {
 public:
  explicit NpyReader(const std::string& path) { trace_.path = path; }

  Trace read() {
    std::ifstream file = open_trace(trace_.path);
    bytes_.assign(std::istreambuf_iterator<char>(file), {});
    read_prefix();
    const bool wide = read_header();
    wide ? read_records<std::int64_t>() : read_records<std::int32_t>();
    return std::move(trace_);
  }

 private:
  [[noreturn]] void refuse(std::size_t at, const std::string& what) const {
    refuse_trace(trace_.path, fmt::format("byte {}", at), what);
  }

  void need_bytes(std::size_t end, const char* what) const {
    if (bytes_.size() >= end) return;
    refuse(bytes_.size(), fmt::format("the file ends, but {} to byte {}", what, end));
  }

  void read_prefix() {
    if (!bytes_.starts_with(kMagic)) {
      refuse(0, "no .npy file; right is one of numpy.save, which begins with \\x93NUMPY");
    }
    need_bytes(8, "its version reaches");
    const int major = load<std::uint8_t>(bytes_, 6);
    const int minor = load<std::uint8_t>(bytes_, 7);
    if (major < 1 || major > 3 || minor != 0) {
      refuse(6, fmt::format("version {}.{}, right are 1.0, 2.0 and 3.0", major, minor));
    }
    header_at_ = major == 1 ? 10 : 12;
    need_bytes(header_at_, "its header's length reaches");
    data_at_ =
        header_at_ + (major == 1 ? load<std::uint16_t>(bytes_, 8) : load<std::uint32_t>(bytes_, 8));
    need_bytes(data_at_, "its header reaches");
  }

  /// The text behind a key of the header.
  std::string_view value_of(std::string_view key) const {
    const std::string_view header =
        std::string_view(bytes_).substr(header_at_, data_at_ - header_at_);
    const auto at = header.find(fmt::format("'{}':", key));
    if (at == std::string_view::npos) refuse(header_at_, fmt::format("no '{}' in the header", key));
    const std::string_view value = header.substr(at + key.size() + 3);
    return value.substr(std::min(value.size(), value.find_first_not_of(' ')));
  }

  /// Whether numbers have 64 bits.
  bool read_header() {
    const std::string_view type = value_of("descr");
    const bool wide = type.starts_with("'<i8'");
    if (!wide && !type.starts_with("'<i4'")) {
      refuse(header_at_, fmt::format("dtype {}, right are '<i8' and '<i4': int64 and int32",
                                     type.substr(0, type.find(','))));
    }
    if (!value_of("fortran_order").starts_with("False")) {
      refuse(header_at_, "fortran_order is not False; numpy.ascontiguousarray makes it right");
    }
    read_shape(value_of("shape"));
    return wide;
  }

  void read_shape(std::string_view text) {
    text = text.substr(0, text.find_first_of(")}") + 1);
    const auto refuse_shape = [&] {
      refuse(header_at_,
             fmt::format("shape {}, right is (steps, ranks, tokens, K), each from 1 on", text));
    };
    if (text.size() < 2 || text.front() != '(') refuse_shape();
    std::vector<int> sizes;
    try {
      for (std::string& part : split(text.substr(1, text.size() - 2), ',')) {
        part.erase(0, part.find_first_not_of(' '));
        sizes.push_back(parse_int(part, 1));
      }
    } catch (const Error&) {
      refuse_shape();
    }
    if (sizes.size() != 4) refuse_shape();
    trace_.num_steps = sizes[0];
    trace_.num_ranks = sizes[1];
    num_tokens_ = sizes[2];
    trace_.num_topk = sizes[3];
  }

  /// The size in doubles first: a product of four sizes may be more than 64 bits hold.
  template <class T>
  void read_records() {
    const double all = 1.0 * trace_.num_steps * trace_.num_ranks * num_tokens_ * trace_.num_topk;
    if (all * sizeof(T) > static_cast<double>(bytes_.size() - data_at_)) {
      refuse(bytes_.size(), fmt::format("the file ends, but its shape needs {:.0f} bytes from byte "
                                        "{} on",
                                        all * sizeof(T), data_at_));
    }
    const auto per_record =
        static_cast<std::size_t>(num_tokens_) * static_cast<std::size_t>(trace_.num_topk);
    std::size_t at = data_at_;
    for (int step = 0; step < trace_.num_steps; ++step) {
      for (int rank = 0; rank < trace_.num_ranks; ++rank) {
        TraceRecord record{.where = fmt::format("byte {} (step {}, rank {})", at, step, rank),
                           .topk_idx = {}};
        for (std::size_t i = 0; i < per_record; ++i, at += sizeof(T)) {
          record.topk_idx.push_back(load<T>(bytes_, at));
        }
        trace_.records.push_back(std::move(record));
      }
    }
    if (at != bytes_.size()) {
      refuse(at, fmt::format("{} bytes behind what its shape needs", bytes_.size() - at));
    }
  }

  Trace trace_;
  std::string bytes_;
  std::size_t header_at_ = 0;
  std::size_t data_at_ = 0;
  int num_tokens_ = 0;
};

}  // namespace

Trace read_npy(const std::string& path) { return NpyReader(path).read(); }

}  // namespace llep
