#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whether llep compare is to be believed, with real times on the host executor or on two GPUs:
#   compare_check.sh [LLEP] [COMPARISONS] [host|cuda]
# Compares a build with itself: at most one comparison may raise an alarm. Then one side is delayed
# by half of its own time, on GPUs by a tenth: every comparison must find that. A side is eight runs,
# and the sides take turns. How single runs fare, whose trials share the luck of one process, is only reported.
# Takes minutes; not part of the tests.
set -euo pipefail

llep=$(realpath "${1:-$(dirname "$0")/../build/release/bin/llep}") comparisons=${2:-20}
device=${3:-host}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_mpi_yield_when_idle=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

readonly kRuns=8

# Half is what two noisy cores let tell apart. On a GPU a delay is a kernel of its own: a launch of
# some microseconds is part of it, so that the op must not be short.
case $device in
  host) load=(-t 64 -d 2048 -k 4 -e 8 --host-blocks 1 --host-warps 1 --trials 10) share=2 ;;
  cuda) load=(-t 1024 -d 7168 -k 8 -e 256 --mode fresh --check once --trials 2) share=10 ;;
  *) echo "neither host nor cuda: $device" >&2; exit 2 ;;
esac

# One case, so that so few runs can tell.
measure() { # FILE [option...]
  local file=$1
  shift
  mpirun -np 2 "$llep" run --device "$device" "${load[@]}" --op dispatch \
    --iters 20 --warmup 5 --anonymous --json "$file" "$@" >log 2>&1 || { cat log; exit 1; }
}

# Exit code of a comparison: 0 or 7; any other ends the check.
compared() { # ARGUMENT...
  local code=0
  "$llep" compare "$@" >>report 2>/dev/null || code=$?
  case $code in
    0 | 7) echo "$code" ;;
    *) tail report >&2; exit 1 ;;
  esac
}

median_us() {
  python3 -c 'import json; d = json.load(open("base1.json"))
print(round(d["benchmarks"][0]["latency_us"]["cross_rank_max"]["p50"]))'
}

# Counts of exit code 7.
alarms=0 found=0 alarms_of_one=0 found_of_one=0
for ((i = 1; i <= comparisons; i++)); do
  for ((run = 1; run <= kRuns; run++)); do
    measure "base$run.json"
    measure "same$run.json"
    measure "slow$run.json" --inject "delay:rank=0,iter=all,us=$(($(median_us) / share))"
  done
  same=$(compared base?.json --new same?.json)
  slow=$(compared base?.json --new slow?.json)
  same_one=$(compared base1.json same1.json)
  slow_one=$(compared base1.json slow1.json)
  alarms=$((alarms + same / 7)) found=$((found + slow / 7))
  alarms_of_one=$((alarms_of_one + same_one / 7)) found_of_one=$((found_of_one + slow_one / 7))
  echo "$i: itself $same, delayed $slow; single runs: $same_one, $slow_one"
done
grep '^dispatch/' report
echo "single runs, by trials: $alarms_of_one false alarms, $found_of_one delays found"
echo "$comparisons comparisons by runs: $alarms false alarms, $found delays found"
[ "$found" -eq "$comparisons" ] && [ "$alarms" -le 1 ]
