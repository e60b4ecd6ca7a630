#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sourced by quickstart.sh and test.sh: moves to the repository, installs what the build lacks
# (Debian and Ubuntu), and offers build_preset.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# Any number of ranks on any machine, as root too (containers), not bound to one core each: Open
# MPI 4 (OMPI_*) and 5 (PRTE_*).
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe
export PRTE_MCA_hwloc_default_binding_policy=none

say() { echo "$(basename "$0"): [$SECONDS s] $*"; }
die() { say "$*" >&2; exit 1; }

# Debian's names of the packages whose header, program or CMake file is not there.
missing_packages() {
  command -v g++ >/dev/null || echo build-essential
  command -v cmake >/dev/null || echo cmake
  command -v ninja >/dev/null || echo ninja-build
  command -v pkg-config >/dev/null || echo pkg-config
  command -v mpicc >/dev/null || echo libopenmpi-dev
  command -v mpirun >/dev/null || echo openmpi-bin
  has_header CLI/CLI.hpp || echo libcli11-dev
  has_header fmt/format.h || echo libfmt-dev
  has_header nlohmann/json.hpp || echo nlohmann-json3-dev
  has_header hwloc.h || echo libhwloc-dev
  has_header infiniband/verbs.h || echo libibverbs-dev
  has_header gtest/gtest.h || echo libgtest-dev
  [ "$(basename "$0")" != test.sh ] || missing_test_packages
}

# What reads results in the tests: the schemas' validator, Google Benchmark's comparison.
missing_test_packages() {
  python3 -c 'import jsonschema' 2>/dev/null || echo python3-jsonschema
  /usr/bin/python3 -c 'import scipy' 2>/dev/null || echo python3-scipy  # for the next one
  [ -e /usr/share/benchmark/compare.py ] || echo libbenchmark-tools
}

# What the tests in virtual machines (scripts/rdma_vm.sh) need besides.
missing_vm_packages() {
  command -v qemu-system-x86_64 >/dev/null || echo qemu-system-x86
  command -v busybox >/dev/null || echo busybox-static
  command -v cpio >/dev/null || echo cpio
  has_program modprobe || echo kmod
  has_program rdma || echo iproute2
  has_program sshd || echo openssh-server
  command -v ssh >/dev/null || echo openssh-client
  [ -e /etc/libibverbs.d/rxe.driver ] || echo ibverbs-providers
}

# What checks the software adapter (tests/softmlx5) besides.
missing_adapter_packages() {
  command -v ib_write_bw >/dev/null || echo perftest
  command -v ibv_devinfo >/dev/null || echo ibverbs-utils
  [ -e /etc/libibverbs.d/mlx5.driver ] || echo ibverbs-providers
}

# Programs for root are not on everybody's path.
has_program() { command -v "$1" >/dev/null || [ -x "/usr/sbin/$1" ]; }

has_header() {
  printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | g++ -E -x c++ - >/dev/null 2>&1
}

install_missing() {
  local missing
  missing=$(missing_packages | tr '\n' ' ')
  if [ -z "${missing// /}" ]; then return; fi
  say "missing: $missing"
  command -v apt-get >/dev/null ||
    die "this is no Debian or Ubuntu; docs/building.md says how to build with the site's packages"
  may_install || die "no root here. Run: sudo apt-get install $missing"
  apt_install "$missing" || die "apt-get could not install: $missing"
}

# RDMA tests are skipped where they cannot run: no failure here either.
install_missing_for_rdma() {
  local missing
  missing=$({ missing_vm_packages; missing_adapter_packages; } | sort -u | tr '\n' ' ')
  if [ -z "${missing// /}" ]; then return; fi
  if ! { command -v apt-get >/dev/null && may_install && apt_install "$missing"; }; then
    say "RDMA tests will be skipped: missing $missing"
  fi
}

may_install() { [ "$(id -u)" -eq 0 ] || sudo -n true 2>/dev/null; }

# apt_install "PACKAGE ..."
apt_install() {
  local sudo=
  [ "$(id -u)" -eq 0 ] || sudo=sudo
  # shellcheck disable=SC2086  # a list of words
  { $sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $sudo apt-get install -y -qq \
      --no-install-recommends $1; } >/dev/null || return 1
  say "installed: $1"
}

check_cmake() {
  local have
  have=$(cmake --version | sed -n 's/cmake version //p')
  printf '3.25\n%s\n' "$have" | sort -C -V ||
    die "cmake $have is too old: 3.25 is needed (Debian 12, Ubuntu 24.04, or python3 -m pip install cmake)"
}

# build_preset PRESET [TARGET...]: configures when needed, then builds.
build_preset() {
  local preset=$1 log
  shift
  log=build/$preset.log
  mkdir -p build
  if [ ! -f "build/$preset/build.ninja" ]; then
    say "configuring $preset"
    cmake --preset "$preset" >"$log" 2>&1 || { tail -n 30 "$log" >&2; die "see $log"; }
  fi
  say "building $preset"
  cmake --build --preset "$preset" --parallel "$(nproc)" ${1:+--target "$@"}
}

install_missing
case "$(basename "$0") ${1:-}" in
  "test.sh all" | "test.sh long") install_missing_for_rdma ;;
esac
check_cmake
