#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# over_twin.sh RANKS COMMAND...: COMMAND's ranks see the software adapter $TWIN. mpirun and MPI's own
# transports do not.
set -euo pipefail
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
ranks=$1
shift
exec "${mpirun[@]}" --mca btl self,vader -np "$ranks" env LD_PRELOAD="$TWIN" "$@"
