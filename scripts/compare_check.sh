#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Whether llep compare is to be believed, with real times on the host executor:
#   compare_check.sh [LLEP] [COMPARISONS]
# Compares a build with itself: such comparisons may raise an alarm at most as often as alpha says.
# Then one side is delayed by half of its own time: every comparison must find that.
# Base and new trials come in turn. Takes minutes; not part of the tests.
set -euo pipefail

llep=$(realpath "${1:-$(dirname "$0")/../build/release/bin/llep}") comparisons=${2:-20}
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
export OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none
export OMPI_MCA_mpi_yield_when_idle=1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# One case, so that ten trials a side are more than enough.
measure() { # FILE [option...]
  local file=$1
  shift
  mpirun -np 2 "$llep" run --device host -t 16 -d 1024 -k 4 -e 16 --op dispatch --trials 10 \
    --iters 20 --warmup 5 --anonymous --json "$file" "$@" >log 2>&1 || { cat log; exit 1; }
}

# Exit code of a comparison: 0 or 7; any other ends the check.
compared() { # FILE FILE
  local code=0
  "$llep" compare "$1" "$2" >>report 2>/dev/null || code=$?
  case $code in
    0 | 7) echo "$code" ;;
    *) tail report >&2; exit 1 ;;
  esac
}

median_us() {
  python3 -c 'import json; d = json.load(open("base.json"))
print(round(d["benchmarks"][0]["latency_us"]["cross_rank_max"]["p50"]))'
}

alarms=0 found=0
for ((i = 1; i <= comparisons; i++)); do
  measure base.json
  measure same.json
  measure slow.json --inject "delay:rank=0,iter=all,us=$(($(median_us) / 2))"
  same=$(compared base.json same.json) slow=$(compared base.json slow.json)
  if [ "$same" -eq 7 ]; then alarms=$((alarms + 1)); fi
  if [ "$slow" -eq 7 ]; then found=$((found + 1)); fi
  echo "$i: itself $same, delayed $slow"
done
grep '^dispatch/' report
echo "$comparisons comparisons: $alarms false alarms, $found delays found"
[ "$found" -eq "$comparisons" ] && [ "$alarms" -le 1 ]
