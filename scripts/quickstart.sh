#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# scripts/quickstart.sh [llep run option...]
# Builds llep and runs configs/quickstart.json: on the GPUs of this machine, else on its CPUs.

# shellcheck source=scripts/setup.sh
source "$(dirname "${BASH_SOURCE[0]}")/setup.sh"

build_preset release llep

gpus=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
device=host ranks=4
if [ "$gpus" -gt 0 ] && grep -q '^LLEP_CUDA_FOUND:INTERNAL=ON' build/release/CMakeCache.txt; then
  device=cuda ranks=1
  while [ $((ranks * 2)) -le "$gpus" ] && [ "$ranks" -lt 8 ]; do ranks=$((ranks * 2)); done
elif [ "$gpus" -gt 0 ]; then
  say "$gpus GPUs here, but no CUDA toolkit when llep was built: using the CPUs instead" \
    "(once nvcc is installed: cmake --preset release, then again)"
fi

say "running on $device with $ranks ranks"
mpirun -np "$ranks" build/release/bin/llep run --config configs/quickstart.json \
  --device "$device" --json "$PWD/results/local/quickstart.json" "$@"
