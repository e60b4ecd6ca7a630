#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# mpi_stays_off.sh LIBRARY PROGRAM...: ranks of an MPI program see the twin and know nothing of
# verbs: MPI's own transports open no device.
set -euo pipefail
library=$1
shift
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
said=$("${mpirun[@]}" -np 2 -x LD_PRELOAD="$library" -x SOFTMLX5_TRACE=1 "$@" 2>&1) || {
  echo "$said"
  exit 1
}
if grep '^softmlx5\[' <<<"$said" | head; then
  echo "FAILED: MPI uses the twin"
  exit 1
fi
