#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# matrix.sh LLEP RANKS [fifo]: pairs of shapes, types, copies, phases and of ibgda's own settings,
# or of a fifo's over verbs, over the software adapter $TWIN; every row of every iteration checked.
set -euo pipefail

llep=$1 ranks=$2 transport=${3:-ibgda}
over_twin=$(dirname "$(realpath "$0")")/over_twin.sh
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
cases=0

sweep() {
  if ! "$over_twin" "$ranks" "$llep" run --device host --op dispatch,combine --check all \
      "${common[@]}" --json "$results/r.json" "$@" >"$results/log" 2>&1; then
    cat "$results/log"
    echo "FAILED: $*"
    exit 1
  fi
  local ok
  ok=$(grep -c ' ok$' "$results/log")
  cases=$((cases + ok / 2))
  echo "ok: $ranks ranks, $ok entries: $*"
}

uneven=0
for ((r = 1; r < ranks; ++r)); do uneven+=,$((r * 5 % 8)); done
half=$(((ranks + 1) / 2))
common=(--iters 3 --warmup 1)

if [ "$transport" = fifo ]; then
  common+=(--fifo-wire verbs)
  sweep -t 9 -d 384 -k 32 --experts-per-rank "$(((32 + ranks - 1) / ranks))" --mask 50% \
    --dispatch-dtype bf16,fp8 --transport fifo --send-depth 64 --fifo-depth 64
  sweep -t 8 -d 256 -k 4 --experts-per-rank 4 --uneven-tokens "$uneven" --dispatch-dtype fp8 \
    --phases split --transport fifo --signal write,atomic --proxy-threads 2 --qps-per-peer 3
  sweep -t 33 -d 128 -k 9 --experts-per-rank 9 --dispatch-copies rank,selection --phases fused,split \
    --dispatch-dtype fp8 --transport hybrid-fifo --ranks-per-node "$half" --qps-per-peer experts
  echo "$ranks ranks: $cases cases"
  exit
fi

# So many ranks on few cores: what grows with them, and fewer warps.
if [ "$ranks" -gt 4 ]; then
  common=(--iters 2 --warmup 0 --host-blocks 1 --host-warps 2)
  sweep -t 3 -d 256 -k 4 --experts-per-rank 2 --dispatch-dtype bf16,fp8 --transport ibgda \
    --ring-every tail --send-depth 64
  sweep -t 5 -d 128 -k 4 --experts-per-rank 2 --uneven-tokens 0,5,2,4,1,3,5,0 --phases split \
    --dispatch-copies selection --transport ibgda --signal atomic
  sweep -t 5 -d 1024 -k 8 --experts-per-rank 2 --dispatch-dtype fp8 --phases fused,split \
    --transport hybrid-ibgda --ranks-per-node "$half" --qps-per-peer experts
  echo "$ranks ranks: $cases cases"
  exit
fi

sweep -t 1,33 -d 1024 -k 4 --experts-per-rank 4 --dispatch-dtype bf16,fp8 \
  --transport ibgda --ring-every tail --send-depth 64
sweep -t 5 -d 512 -k 8 --experts-per-rank 8 --dispatch-dtype bf16,fp8 \
  --dispatch-copies rank,selection --phases fused,split --transport ibgda --ring-every 1 \
  --qps-per-peer experts
sweep -t 8 -d 256 -k 4 --experts-per-rank 4 --uneven-tokens "$uneven" --dispatch-dtype fp8 \
  --phases split --transport ibgda --signal write,atomic --qps-per-peer 3
sweep -t 9 -d 384 -k 32 --experts-per-rank "$(((32 + ranks - 1) / ranks))" --dispatch-copies selection \
  --transport ibgda --mask 50% --send-depth 64
sweep -t 16 -d 512 -k 4 --experts-per-rank 4 --dispatch-dtype bf16,fp8 --phases fused,split --zero-copy \
  --transport ibgda --ring-every 3 --send-depth 128
sweep -t 16 -d 512 -k 4 --experts-per-rank 4 --payload reference --mask 10 --phases fused,split \
  --transport hybrid-ibgda --ranks-per-node "$half" --signal write,atomic
sweep -t 33 -d 128 -k 9 --experts-per-rank 9 --dispatch-copies rank,selection --dispatch-dtype fp8 \
  --transport hybrid-ibgda --ranks-per-node "$half" --ring-every tail --qps-per-peer 2
sweep -t 7 -d 256 -k 4 --experts-per-rank 4 --mask 100% --phases fused,split --transport ibgda
echo "$ranks ranks: $cases cases"
