#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The matrix of odd shapes over one transport: every row of every iteration checked.
#   tests/matrix.sh [--reduced] LLEP RANKS [llep run options...]
# --reduced leaves out combinations, never a sweep. Deadlines are long: ranks may be many more than
# cores. MPIRUN overrides how ranks are started. Prints a
# line per sweep; fails on the first bad one.
set -euo pipefail

reduced=
if [ "$1" = --reduced ]; then reduced=yes && shift; fi
llep=$1 ranks=$2
shift 2
common=("$@")
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT

both=(--dispatch-dtype bf16,fp8 --dispatch-copies rank,selection)
halves=(--phases fused,split)
ops=(--op dispatch,combine,pair)
tokens=1,5,33 hidden=128,512
if [ -n "$reduced" ]; then
  halves=(--phases split) ops=(--op dispatch,combine) tokens=5 hidden=512
fi

sweep() {
  local what=$1
  shift
  # One that hangs without a word is ended before the test is: what it has printed is seen, and which
  # ranks were still there.
  if ! timeout 170 "${mpirun[@]}" --timeout 150 --report-state-on-timeout -np "$ranks" \
      "$llep" run "${common[@]}" --check all --iters 4 --warmup 2 --timeout-ms 40000 \
      --json "$results/r.json" "$@" >"$results/log" 2>&1; then
    cat "$results/log"
    echo "FAILED: $what: $*"
    exit 1
  fi
  echo "ok: $ranks ranks: $what ($(grep -c ' ok$' "$results/log") entries)"
}

at_least() { echo $((($1 + ranks - 1) / ranks)); }  # experts per rank for $1 experts
uneven=0
for ((r = 1; r < ranks; ++r)); do uneven+=,$((r * 5 % 8)); done

sweep "shapes" -t "$tokens" -d "$hidden" -k 4 --experts-per-rank 4 "${both[@]}" "${halves[@]}" "${ops[@]}"
sweep "wide rows" -t 3 -d 7168,16384 -k 3 --experts-per-rank 3 "${both[@]}" "${ops[@]}"
sweep "one of everything" -t 1 -d 128 -k 1 --experts-per-rank 1 "${both[@]}" "${halves[@]}"
sweep "more selections than local experts" -t 9 -d 256 -k 32 --experts-per-rank "$(at_least 32)" \
  "${both[@]}" "${halves[@]}"
sweep "everything masked" -t 7 -d 256 -k 4 --experts-per-rank 4 --mask 100% "${both[@]}" "${halves[@]}"
sweep "half masked" -t 7 -d 256 -k 4 --experts-per-rank 4 --mask 50% "${both[@]}" "${ops[@]}"
sweep "uneven ranks, one without tokens" -t 8 -d 256 -k 4 --experts-per-rank 4 \
  --uneven-tokens "$uneven" "${both[@]}" "${halves[@]}" "${ops[@]}"
sweep "many experts" -t 6 -d 128 -k 32 --experts-per-rank "$((2048 / ranks))" "${both[@]}"
sweep "many tokens" -t 300 -d 128 -k 9 --experts-per-rank "$(at_least 16)" "${both[@]}" "${ops[@]}"
sweep "zero copy" -t 8 -d 512 -k 4 --experts-per-rank 4 --zero-copy "${both[@]}" "${halves[@]}" "${ops[@]}"
sweep "reference payload" -t 16 -d 512 -k 4 --experts-per-rank 4 --mask 10 --payload reference \
  "${both[@]}" "${halves[@]}" "${ops[@]}"
