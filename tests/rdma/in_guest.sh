#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# in_guest.sh FOLDER: what runs inside the guest of scripts/rdma_vm.sh, on its device rxe0, with the
# programs in FOLDER. Everything in one boot; ends with 1 if anything failed.
set -uo pipefail
bin=$1
failed=0

# expect CODE NAME COMMAND...: its output is shown when it ends with another code.
expect() {
  local expected=$1 name=$2 code=0 out
  shift 2
  local start=$SECONDS
  out=$("$@" 2>&1) || code=$?
  if [ "$code" -eq "$expected" ]; then
    echo "ok      $name, $((SECONDS - start)) s"
  else
    echo "FAILED  $name: exit code $code, expected $expected"
    echo "$out"
    failed=1
  fi
}

ranks() { mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1 -np "$@"; }

for n in 2 4; do
  expect 0 "wire verbs, $n ranks" ranks "$n" "$bin/verbs_wire_test"
done
exit "$failed"
