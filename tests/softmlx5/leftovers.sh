#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# leftovers.sh LIBRARY: the twin leaves nothing in /dev/shm, and removes what a killed process left.
set -euo pipefail

library=$1
command -v ibv_rc_pingpong >/dev/null && command -v ibv_devinfo >/dev/null || {
  echo "skipped: ibv_rc_pingpong and ibv_devinfo are not installed (package ibverbs-utils)"
  exit 77
}
export SOFTMLX5_FOLDER
SOFTMLX5_FOLDER=$(mktemp -u /dev/shm/softmlx5-test.XXXXXX)
gone() { [ ! -e "$SOFTMLX5_FOLDER" ] || { echo "$1: $SOFTMLX5_FOLDER is still there"; exit 1; }; }
devinfo() { LD_PRELOAD=$library ibv_devinfo >/dev/null; }

devinfo
gone "after one process"
devinfo & devinfo & devinfo & wait
gone "after three at once"

LD_PRELOAD=$library ibv_rc_pingpong -p $((20000 + RANDOM % 12000)) >/dev/null 2>&1 &
killed=$!
until [ -e "$SOFTMLX5_FOLDER/rings" ]; do sleep 0.05; done
devinfo  # beside it
[ -e "$SOFTMLX5_FOLDER/rings" ] || { echo "removed while in use"; exit 1; }
kill -KILL "$killed"
wait "$killed" 2>/dev/null || true
[ -e "$SOFTMLX5_FOLDER" ] || { echo "a killed process removed it?"; exit 1; }
devinfo
gone "after a killed process and the next one"
