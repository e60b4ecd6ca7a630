// SPDX-License-Identifier: MIT
#include "bench/result_writer.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <string_view>
#include <system_error>
#include <utility>

#include "bench/report_json.hpp"
#include "common/error.hpp"
#include "common/unique_handle.hpp"

namespace llep {
namespace {

using FileDescriptor = UniqueHandle<int, ::close, -1>;
namespace fs = std::filesystem;

[[noreturn]] void refuse(const fs::path& path, const std::string& why) {
  throw Error(ExitCode::kUsage, fmt::format("results file {}: {}", path.string(), why));
}

[[noreturn]] void refuse_errno(const fs::path& path, const char* doing) {
  const std::error_code error(errno, std::generic_category());
  refuse(path, fmt::format("{}: {}", doing, error.message()));
}

/// Removed unless renamed.
class TemporaryFile {
 public:
  explicit TemporaryFile(const fs::path& beside)
      : name_((beside.parent_path() / fmt::format(".{}.XXXXXX", beside.filename().string()))
                  .string()),
        file_(::mkstemp(name_.data())) {
    if (!file_) refuse_errno(beside, "cannot create a file beside it");
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  ~TemporaryFile() {
    if (!renamed_) ::unlink(name_.c_str());
  }

  void write(std::string_view text, const fs::path& path) const {
    while (!text.empty()) {
      const ssize_t written = ::write(file_.get(), text.data(), text.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) refuse_errno(path, "write");
      text.remove_prefix(static_cast<std::size_t>(written));
    }
    // mkstemp(3) makes files that their owner alone may read.
    if (::fchmod(file_.get(), 0644) != 0) refuse_errno(path, "fchmod");
    if (::fsync(file_.get()) != 0) refuse_errno(path, "fsync");
  }

  void rename_to(const fs::path& path) {
    if (::rename(name_.c_str(), path.c_str()) != 0) refuse_errno(path, "rename");
    renamed_ = true;
  }

 private:
  std::string name_;
  FileDescriptor file_;
  bool renamed_ = false;
};

/// The file that is to be replaced: behind links, and never a device such as /dev/null.
fs::path resolve(const fs::path& path) {
  std::error_code error;
  // Of a relative path that is not there yet, weakly_canonical alone gives no folder.
  const fs::path whole = fs::absolute(path, error);
  if (error) refuse(path, error.message());
  const fs::path target = fs::weakly_canonical(whole, error);
  if (error) refuse(path, error.message());
  const fs::file_status status = fs::status(target, error);
  if (fs::exists(status) && !fs::is_regular_file(status)) {
    refuse(path, "it is there and is not a regular file");
  }
  fs::create_directories(target.parent_path(), error);
  if (error) refuse(path, fmt::format("cannot create its folder: {}", error.message()));
  return target;
}

}  // namespace

fs::path default_result_path() {
  std::string stem = utc_time(std::chrono::system_clock::now());
  std::erase(stem, ':');
  std::erase(stem, '-');
  const fs::path folder = "results/local";
  fs::path path = folder / (stem + ".json");
  for (int number = 2; fs::exists(path); ++number) {
    path = folder / fmt::format("{}-{}.json", stem, number);
  }
  return path;
}

std::string document_text(const nlohmann::ordered_json& document) {
  // Text that is no UTF-8 (a device's name, an environment variable) must not cost the results.
  return document.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

void write_atomically(const fs::path& path, const std::string& text) {
  const fs::path target = resolve(path);
  TemporaryFile file(target);
  file.write(text, path);
  file.rename_to(target);
  // The rename itself lasts only once the folder is on disk.
  const FileDescriptor folder(::open(target.parent_path().c_str(), O_RDONLY | O_DIRECTORY));
  if (folder) ::fsync(folder.get());
}

ResultDocument::ResultDocument(fs::path path, const ContextInfo& context,
                               const RunOptions& options)
    : path_(std::move(path)),
      entries_(options.command == Subcommand::kRun ? "benchmarks" : "floors"),
      document_({{"schema_version", kSchemaVersion}}) {
  if (options.command == Subcommand::kFloors) document_["kind"] = "floors";
  document_["complete"] = false;
  document_["context"] = to_json(context, options);
  document_[entries_] = nlohmann::ordered_json::array();
  if (options.command == Subcommand::kRun) document_["gates"] = nlohmann::ordered_json::array();
  document_["errors"] = nlohmann::ordered_json::array();
  write();
}

void ResultDocument::add(nlohmann::ordered_json entries, const std::vector<ErrorRecord>& errors) {
  for (auto& entry : entries) document_[entries_].push_back(std::move(entry));
  for (const ErrorRecord& error : errors) document_["errors"].push_back(to_json(error));
  write();
}

void ResultDocument::put(nlohmann::ordered_json entries,
                         const std::vector<ErrorRecord>& errors) {
  auto added = nlohmann::ordered_json::array();
  auto& known = document_[entries_];
  for (auto& entry : entries) {
    const auto same = std::find_if(known.begin(), known.end(), [&](const auto& one) {
      return one["name"] == entry["name"];
    });
    if (same == known.end()) {
      added.push_back(std::move(entry));
    } else {
      *same = std::move(entry);
    }
  }
  add(std::move(added), errors);
}

void ResultDocument::set(const std::vector<GateResult>& gates) {
  for (const GateResult& gate : gates) document_["gates"].push_back(to_json(gate));
  write();
}

void ResultDocument::add(const ErrorRecord& error) {
  add(nlohmann::ordered_json::array(), {error});
}

void ResultDocument::set(const TransportSummary& transport) {
  auto& context = document_["context"];
  for (const std::string& one : transport.stand_ins) {
    auto& all = context["stand_ins"];
    if (std::find(all.begin(), all.end(), one) == all.end()) all.push_back(one);
  }
  auto& all = context["transports"];
  const auto known = std::find_if(all.begin(), all.end(), [&](const auto& entry) {
    return entry["name"] == transport.name;
  });
  if (known == all.end()) {
    all.push_back(to_json(transport));
  } else {
    *known = to_json(transport);
  }
  write();
}

void ResultDocument::set(const RanksHealth& ranks) {
  document_["context"]["gpu_health"] = to_json(ranks);
  document_["context"]["warnings"] = warnings_of(ranks);
  write();
}

void ResultDocument::finish() {
  document_["complete"] = true;
  write();
}

void ResultDocument::write() const { write_atomically(path_, document_text(document_)); }

ResultWriter::ResultWriter(fs::path path, ContextInfo context, RunOptions options)
    : ResultDocument(std::move(path), context, options),
      context_(std::move(context)),
      options_(std::move(options)) {}

void ResultWriter::put(const CaseResult& result, const Floors* floors) {
  ResultDocument::put(benchmark_entries(result, context_, options_, floors), result.errors);
}

}  // namespace llep
