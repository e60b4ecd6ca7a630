#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# run_pair.sh LIBRARY PROGRAM ARGUMENT...: PROGRAM as server and as client of 127.0.0.1, both with
# LIBRARY preloaded. Ends with 1, and shows what both said, if either fails; with 77 if there is no
# such program.
set -uo pipefail

library=$1 program=$2
shift 2
command -v "$program" >/dev/null || {
  echo "skipped: $program is not installed (packages perftest, ibverbs-utils)"
  exit 77
}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
port=$((20000 + RANDOM % 12000))
arguments=(-p "$port" "$@")

listening() { grep -qi ":$(printf '%04x' "$port") [0-9a-f]*:0000 0A" /proc/net/tcp /proc/net/tcp6; }

LD_PRELOAD=$library "$program" "${arguments[@]}" >"$logs/server" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null; rm -rf "$logs"' EXIT
until listening || ! kill -0 "$server" 2>/dev/null; do sleep 0.05; done
client_code=0 server_code=0
LD_PRELOAD=$library "$program" "${arguments[@]}" 127.0.0.1 >"$logs/client" 2>&1 || client_code=$?
[ "$client_code" -eq 0 ] || sleep 1  # what the server has to say
[ "$client_code" -eq 0 ] || kill "$server" 2>/dev/null
wait "$server" || server_code=$?
if [ "$client_code" -ne 0 ] || [ "$server_code" -ne 0 ]; then
  echo "client: exit code $client_code, server: exit code $server_code"
  tail -n 30 "$logs/client" "$logs/server"
  exit 1
fi
# A line of the twin's own is a complaint.
if grep -h '^softmlx5\[' "$logs/client" "$logs/server"; then exit 1; fi
