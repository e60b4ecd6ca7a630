// SPDX-License-Identifier: MIT
#include "bench/samples_writer.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <iterator>
#include <system_error>

#include "bench/option_values.hpp"

namespace llep {

namespace {

/// Empty where it was not measured.
std::string cell(const RankSamples& us, std::size_t rank, std::size_t iteration) {
  return us.empty() ? "" : fmt::format("{}", us[rank][iteration]);
}

}  // namespace

SamplesWriter::SamplesWriter(const RunOptions& options)
    : options_(options), file_(options.samples_path) {
  write("name,trial,iteration,rank,us,device_us,wall_us\r\n");
}

void SamplesWriter::add(const CaseResult& result, int trial) {
  std::string text;
  for (const OpResult& op : result.ops) {
    const std::string name = case_name(result.which, op.op, mode_label(result.which, options_),
                                       routing_label(result.which, options_));
    for (std::size_t rank = 0; rank < op.us.size(); ++rank) {
      for (std::size_t i = 0; i < op.us[rank].size(); ++i) {
        fmt::format_to(std::back_inserter(text), "\"{}\",{},{},{},{},{},{}\r\n", name, trial, i,
                       rank, op.us[rank][i], cell(op.device_us, rank, i),
                       cell(op.wall_us, rank, i));
      }
    }
  }
  write(text);
}

void SamplesWriter::write(const std::string& text) {
  file_ << text << std::flush;
  if (file_) return;
  const std::error_code error(errno, std::generic_category());
  usage_error(fmt::format("samples file {}: {}", options_.samples_path, error.message()));
}

}  // namespace llep
