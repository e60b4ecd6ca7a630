#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Sourced by in_guest.sh and in_cluster.sh.
# shellcheck disable=SC2034  # they use what is set here
set -uo pipefail
failed=0
# Guests are so slow that answers take longer than on a network. soft-RoCE then sends again, and so
# much of it that it fails (completion status 9 or 12).
guest_ack_timeout=22  # 17 s

# expect CODE NAME COMMAND...: shows the output of a command that ends with another code.
expect() {
  local expected=$1 name=$2 code=0 out start=$SECONDS
  shift 2
  out=$("$@" 2>&1) || code=$?
  if [ "$code" -eq "$expected" ]; then
    echo "ok      $name, $((SECONDS - start)) s"
  else
    echo "FAILED  $name: exit code $code, expected $expected"
    echo "$out"
    failed=1
  fi
}
