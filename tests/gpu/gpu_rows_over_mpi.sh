#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# gpu_rows_over_mpi.sh LLEP LIBRARY: the wire mpi gives GPU memory to an MPI that says that it takes
# it: LIBRARY makes any MPI one of those. Started under $MPIRUN; 77: skipped.
set -euo pipefail

llep=$1 library=$2
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
nvidia-smi -L 2>/dev/null | grep -q GPU || { echo "no GPU here"; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
run=(run --device cuda --share-gpus --fifo-wire mpi --proxy-threads 2 --qps-per-peer 3
  --dispatch-dtype bf16,fp8 --phases fused,split -t 33
  -d 128,7168 -k 4 --experts-per-rank 4 --iters 4 --warmup 1 --check all --timeout-ms 60000
  --json "$folder/r.json")

expect() { # TEXT-IN-OUTPUT OPTION...
  local text=$1
  shift
  "${mpirun[@]}" -np 2 env LD_PRELOAD="$library" "$llep" "${run[@]}" "$@" >"$folder/log" 2>&1 ||
    { cat "$folder/log"; exit 1; }
  grep -q "$text" "$folder/log" || { cat "$folder/log"; echo "not said: $text"; exit 1; }
}
expect 'wire mpi, GPU rows as they are' --transport fifo
expect 'wire mpi, GPU rows as they are' --transport fifo --zero-copy
expect 'wire mpi, GPU rows through pinned host memory' --transport fifo --mr-mode host
