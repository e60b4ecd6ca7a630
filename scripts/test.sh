#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/test.sh [quick|all|long]
#   quick  unit tests and multi-rank tests on the host executor (default)
#   all    those, RDMA in virtual machines and over the software adapter, GPU tests where there are
#          GPUs, and what has threads or runs the program again under sanitizers
#   long   all, and the tests that are too long for every day

# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

# run_tests PRESET CTEST-ARGUMENT...
run_tests() {
  local preset=$1 log=build/$1/Testing/Temporary/LastTest.log failed=0 fixed_addresses=()
  shift
  # ThreadSanitizer of gcc 12 cannot place its shadow memory when the kernel randomises more
  # than 28 bits of addresses (Ubuntu 24.04 does).
  if [ "$preset" = tsan ] && setarch -R true 2>/dev/null; then fixed_addresses=(setarch -R); fi
  say "testing $preset"
  "${fixed_addresses[@]}" ctest --preset "$preset" --parallel "$(nproc)" "${exclude[@]}" "$@" ||
    failed=1
  # GoogleTest prints "FILE:LINE: Skipped" and then the reason.
  grep -A1 ': Skipped$' "$log" 2>/dev/null | grep -v ': Skipped$\|^--$' | sort | uniq -c |
    sed 's/^ */skipped: /' || true
  [ "$failed" -eq 0 ] || die "tests failed in $preset"
}

run_release() {
  build_preset release
  run_tests release -L "$1"
}

run_sanitizers() {
  build_preset asan llep_host_tests llep_thread_tests
  run_tests asan -L 'host|threads'
  build_preset tsan llep_thread_tests
  run_tests tsan -L threads
}

exclude=(-LE long)
case "${1:-quick}" in
  quick) run_release 'unit|host' ;;
  all) run_release 'unit|host|gpu|rdma|softmlx5'; run_sanitizers ;;
  long) exclude=(); export LLEP_LONG_TESTS=1; run_release 'unit|host|gpu|rdma|softmlx5|long'; run_sanitizers ;;
  *) die "usage: scripts/test.sh [quick|all|long]" ;;
esac
