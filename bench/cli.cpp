// SPDX-License-Identifier: MIT
#include "bench/cli.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "bench/gate_check.hpp"
#include "bench/list_text.hpp"
#include "bench/option_values.hpp"
#include "common/error.hpp"
#include "common/version.hpp"

namespace llep {
namespace {

constexpr const char* kSummary =
    "Benchmarks of mixture-of-experts dispatch and combine. Start with mpirun, one process a "
    "device.";
constexpr const char* kInjectFooter =
    "FAULT is KIND:rank=R,iter=I|all[,us=N][,op=dispatch|combine]; KIND is corrupt, drop, "
    "misroute,\n"
    "delay (us: its length, 1000 if not given), hang, kill, or of proxies stall or break; timed\n"
    "iterations count from 0.\n";
constexpr const char* kRunExamples =
    "Examples:\n"
    "  mpirun -np 8 llep run -t 1,8,32,128 --dispatch-dtype bf16,fp8\n"
    "  mpirun -np 16 --hostfile hosts llep run --transport hybrid-fifo,hybrid-ibgda --trials 5\n"
    "  mpirun -np 8 llep run --config configs/ll_decode.json --max-latency-us dispatch:p50:40\n"
    "  mpirun -np 8 llep run --transport ipc,ibgda --floors measure\n"
    "  mpirun -np 4 --oversubscribe llep run --device host -t 8 -d 1024 -e 32\n";
constexpr const char* kFloorsExamples =
    "Examples:\n"
    "  mpirun -np 8 llep floors\n"
    "  mpirun -np 8 llep floors --pairs --sizes 8,1M\n"
    "  mpirun -np 2 llep floors --transport fifo --fifo-wire mpi --sizes 8,64K,1M\n";
constexpr const char* kFooter =
    "Every option is also an environment variable (--timeout-ms: LLEP_TIMEOUT_MS) and a key of\n"
    "the config file (\"timeout-ms\"). Command line > environment > config > default.\n"
    "Exit codes: 0 ok, 1 internal error, 2 usage, 3 wrong data, 4 deadline passed,\n"
    "5 transport or device unavailable, 6 gate missed, 130 stopped by a signal.";

std::string default_text(const OptionKey& key) {
  const nlohmann::ordered_json value = key.show(RunOptions());
  if (value.is_null()) return "";
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return fmt::format("{}", value.get<double>());
  if (!value.is_array()) return value.dump();
  std::string text;
  for (const auto& element : value) {
    text += text.empty() ? "" : ",";
    text += element.is_string() ? element.get<std::string>() : element.dump();
  }
  return text;
}

/// CLI11 only splits the command line; values are read by the keys, as from the other sources.
CLI::Option* add_key(CLI::App& app, const OptionKey& key) {
  const std::string names = (key.brief.empty() ? "" : "-" + key.brief + ",") + "--" + key.name;
  if (key.kind == OptionKey::Kind::kFlag) {
    return app.add_flag(names)->description(key.help)->group(key.group);
  }
  return app.add_option(names)
      ->description(key.help)
      ->group(key.group)
      ->type_name(key.values)
      ->default_str(default_text(key))
      ->expected(1)
      ->allow_extra_args(false)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

/// What one key alone cannot say.
void check_injection(const RunOptions& options) {
  if (options.inject && options.inject->iteration.value_or(0) >= options.iters) {
    usage_error(fmt::format("--inject: iter={} is not below --iters {}",
                            *options.inject->iteration, options.iters));
  }
  const bool found_by_checks =
      options.inject && (options.inject->kind == Injection::Kind::kCorrupt ||
                         options.inject->kind == Injection::Kind::kMisroute);
  if (found_by_checks && options.check.kind == CheckPolicy::Kind::kOff) {
    usage_error(fmt::format("--inject: only a check finds {}, and --check is off",
                            to_string(options.inject->kind)));
  }
}

/// A subcommand that measures, on the command line, before any value is read.
class MeasuringCommand {
 public:
  MeasuringCommand(CLI::App& app, Subcommand command, const char* name, const char* description)
      : app_(*app.add_subcommand(name, description)), command_(command) {
    app_.get_formatter()->column_width(36);  // the longest option with its default
    config_ = app_.add_option("--config")
                  ->description("options as JSON, keyed by their long names")
                  ->type_name("FILE");
    for (const OptionKey& key : keys_of(command)) options_.emplace_back(&key, add_key(app_, key));
  }

  CLI::App& app() { return app_; }
  bool given() const { return app_.parsed(); }

  RunOptions options(const Environment& environment) const {
    RunOptions options;
    options.command = command_;
    const auto& keys = keys_of(command_);
    const std::string config = config_path(environment);
    if (!config.empty()) apply_settings(read_config(config, keys), options);
    apply_settings(read_environment(environment, keys), options);
    apply_settings(settings(), options);
    check_injection(options);
    check_gates_fit(options);
    return options;
  }

 private:
  std::string config_path(const Environment& environment) const {
    if (config_->count() > 0) return config_->results().back();
    const auto found = environment.find("LLEP_CONFIG");
    return found == environment.end() ? "" : found->second;
  }

  std::vector<Setting> settings() const {
    std::vector<Setting> settings;
    for (const auto& [key, option] : options_) {
      if (option->count() > 0) settings.push_back({key, "--" + key->name, option->results()});
    }
    return settings;
  }

  CLI::App& app_;
  Subcommand command_;
  CLI::Option* config_ = nullptr;
  std::vector<std::pair<const OptionKey*, CLI::Option*>> options_;
};

}  // namespace

Command parse_command_line(int argc, const char* const* argv, const Environment& environment) {
  CLI::App app(kSummary, "llep");
  app.require_subcommand(0, 1);  // none: said below in our words
  app.set_version_flag("--version", fmt::format("llep {} ({})", kVersion, kGitRevision));
  MeasuringCommand run(app, Subcommand::kRun, "run",
                       "Times dispatch and combine, checks every row");
  run.app().footer(std::string(kRunExamples) + kInjectFooter + kFooter);
  MeasuringCommand floors(app, Subcommand::kFloors, "floors",
                          "Times what transports cost without routing and rows");
  floors.app().footer(std::string(kFloorsExamples) + kFooter);
  const CompareCommandLine compare(app);
  const ExportCommandLine exporting(app);
  const CLI::App& list =
      *app.add_subcommand("list", "What can be measured, and what this machine has for it");
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    return PrintText{app.help()};  // of the subcommand, where one is named
  } catch (const CLI::CallForVersion& version) {
    return PrintText{fmt::format("{}\n", version.what())};
  } catch (const CLI::ParseError& error) {
    usage_error(fmt::format("{} (see llep --help, llep run --help)", error.what()));
  }
  if (list.parsed()) return PrintText{list_text()};
  if (compare.given()) return compare.options();
  if (exporting.given()) return exporting.options();
  if (floors.given()) return floors.options(environment);
  if (!run.given()) usage_error("what to do is missing, such as llep run (see llep --help)");
  return run.options(environment);
}

}  // namespace llep
