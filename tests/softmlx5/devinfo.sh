#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# devinfo.sh LIBRARY: what ibv_devinfo makes of the twin, for both link layers and several devices.
set -euo pipefail

library=$1
command -v ibv_devinfo >/dev/null || {
  echo "skipped: ibv_devinfo is not installed (package ibverbs-utils)"
  exit 77
}
devinfo() { env LD_PRELOAD="$library" "$@" ibv_devinfo -v; }
expect() { # COUNT WORDS, in $info
  local count
  count=$(grep -c "$2" <<<"$info" || true)
  [ "$count" -eq "$1" ] && return
  printf '%s\n"%s" is there %s times, expected %s\n' "$info" "$2" "$count" "$1"
  exit 1
}

info=$(devinfo SOFTMLX5_LINK=ib)
expect 1 'hca_id:'
expect 1 'hca_id:.*mlx5_0'
expect 1 'board_id:.*SOFTMLX5'
expect 1 'link_layer:.*InfiniBand'
expect 1 'state:.*PORT_ACTIVE'
info=$(devinfo SOFTMLX5_LINK=eth SOFTMLX5_DEVICES=3)
expect 3 'hca_id:'
expect 3 'link_layer:.*Ethernet'
expect 6 'RoCE v2'
# What it does not understand, it says in one line.
for wrong in SOFTMLX5_LINK=ethernet SOFTMLX5_DEVICES=0 SOFTMLX5_ADVERSARY=delay,nonsense \
  SOFTMLX5_ADVERSARY=delay:seed=x SOFTMLX5_SLEEP_US=-1; do
  code=0
  info=$(devinfo "$wrong" 2>&1) || code=$?
  expect 1 "${wrong%%=*}=.*: expected"
  [ "$code" -eq 2 ] || { echo "$wrong: exit code $code, expected 2"; exit 1; }
done
