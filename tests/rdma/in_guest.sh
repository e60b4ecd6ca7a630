#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# in_guest.sh FOLDER: what runs in the guest of "scripts/rdma_vm.sh run", on its device rxe0, with
# the programs in FOLDER. All in one boot; ends with 1 if anything failed.

# shellcheck source=tests/rdma/expect.sh
source "$(dirname "$0")/expect.sh"
bin=$1
mpirun=(mpirun --oversubscribe --bind-to none --mca mpi_yield_when_idle 1)

for n in 2 4; do
  expect 0 "wire verbs, $n ranks" "${mpirun[@]}" -np "$n" "$bin/verbs_wire_test"
done
exit "$failed"
