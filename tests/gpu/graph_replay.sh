#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# graph_replay.sh LLEP [TWIN]: ops recorded as CUDA graphs and replayed are right every time, over
# each transport that this machine has; over ibgda with the software adapter TWIN. Started under
# $MPIRUN; 77: skipped.
set -euo pipefail

llep=$1 twin=${2:-}
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "no GPU here"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run=(run --device cuda --share-gpus --mode graph --chain 4 --phases fused,split
  --op dispatch,combine,pair --dispatch-dtype bf16,fp8 -t 9 -d 512 -k 4 --experts-per-rank 4
  --iters 5 --warmup 1 --check all --timeout-ms 60000 --json "$folder/r.json")

replay() { # RANK-COMMAND... -- OPTION...
  local before=()
  while [ "$1" != -- ]; do before+=("$1") && shift; done
  shift
  "${mpirun[@]}" --mca btl self,vader -np 2 "${before[@]}" "$llep" "${run[@]}" "$@" \
    >"$folder/log" 2>&1 || { cat "$folder/log"; exit 1; }
  [ "$(grep -c ' ok$' "$folder/log")" -eq 12 ] || { cat "$folder/log"; exit 1; }
  # Each op has a device clock of its own, within what events see of it.
  python3 - "$folder/r.json" <<'END' || { echo "device clock"; exit 1; }
import json, sys
for case in json.load(open(sys.argv[1]))["benchmarks"]:
    us = case["latency_us"]
    assert 0 < us["device"]["min"] and us["device"]["p50"] < 1.2 * us["cross_rank_max"]["p50"], us
END
  # What nvidia-smi knows of the GPU, the program knows too.
  grep -q '"gpu_health": \[' "$folder/r.json" || { echo "no gpu_health"; exit 1; }
}
replay -- --transport ipc
replay -- --transport ipc --fresh-routing --uneven-tokens random
replay -- --transport fifo --fifo-wire mpi
[ -z "$twin" ] || replay env LD_PRELOAD="$twin" -- --transport ibgda --ring-every tail
