#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# in_guest.sh FOLDER: what runs in the guest of "scripts/rdma_vm.sh run", on its device rxe0, with
# the programs in FOLDER. All in one boot; ends with 1 if anything failed.

# shellcheck source=tests/rdma/expect.sh
source "$(dirname "$0")/expect.sh"
bin=$1
export LLEP_ACK_TIMEOUT=$guest_ack_timeout
mpirun=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1)

expect 0 "wire verbs, 2 ranks" "${mpirun[@]}" -np 2 "$bin/verbs_wire_test"
expect 0 "wire verbs, 4 ranks" "${mpirun[@]}" -np 4 "$bin/verbs_wire_test" \
  --gtest_filter='*/write:*/atomic:*several*:*gone*'
results=$(mktemp -d)
run=("$bin/llep" run --device host -t 4 -d 256 -k 2 --experts-per-rank 2 --warmup 1
  --check all --fifo-wire verbs --json "$results/r.json")
expect 0 "fifo over verbs, 2 ranks" "${mpirun[@]}" -np 2 "${run[@]}" --transport fifo \
  --dispatch-dtype bf16,fp8 --signal write,atomic --timeout-ms 60000
expect 0 "fifo over verbs, 4 ranks" "${mpirun[@]}" -np 4 "${run[@]}" --transport fifo \
  --dispatch-dtype bf16,fp8 --phases split --timeout-ms 60000
expect 0 "fifo over verbs, 8 ranks, 2 proxies" "${mpirun[@]}" -np 8 "${run[@]}" --transport fifo \
  --iters 1 --proxy-threads 2 --qps-per-peer experts --timeout-ms 60000
expect 0 "the software adapter in the kernel's devices' stead" \
  "$(dirname "$0")/../softmlx5/devinfo.sh" "$bin/../lib/libsoftmlx5.so"
unset LLEP_ACK_TIMEOUT
expect 1 "a queue pair in error" "${mpirun[@]}" -np 2 "${run[@]}" --transport fifo \
  --timeout-ms 5000 --inject break:rank=1,iter=2
exit "$failed"
