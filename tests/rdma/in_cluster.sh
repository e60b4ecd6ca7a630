#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# in_cluster.sh FOLDER: what runs on node0 of "scripts/rdma_vm.sh cluster", with the programs in
# FOLDER: ranks on both nodes, so that work is under way for some time. All in one boot; ends with 1
# if anything failed.

# shellcheck source=tests/rdma/expect.sh
source "$(dirname "$0")/expect.sh"
bin=$1
mpirun=(mpirun --hostfile "$LLEP_VM_HOSTFILE" --mca mpi_yield_when_idle 1)

expect 0 "wire verbs, 2 nodes" "${mpirun[@]}" -np 4 "$bin/verbs_wire_test" \
  --gtest_filter='*/write:*/atomic:*several*:*gone*'
results=$(mktemp -d)/r.json
run=("$bin/llep" run --device host -t 4 -d 256 -k 2 --experts-per-rank 2 --iters 10 --warmup 1
  --check all --timeout-ms 60000 --ack-timeout "$guest_ack_timeout" --json "$results")
expect 0 "hybrid-fifo, 2 nodes" "${mpirun[@]}" -np 4 "${run[@]}" --dispatch-dtype bf16,fp8 \
  --transport hybrid-fifo --fifo-wire verbs

# Each rank is near one other, and far from two.
paths() { # PATH COUNT
  local seen
  seen=$(grep -o "\"$1\"" "$results" | wc -l)
  echo "$seen pairs of ranks used $1, expected $2"
  [ "$seen" -eq "$2" ]
}
expect 0 "pairs inside a node" paths ipc 4
expect 0 "pairs between nodes" paths fifo-verbs 8
exit "$failed"
