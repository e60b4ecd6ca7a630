#!/bin/sh
# SPDX-License-Identifier: MIT
# expect_exit.sh CODE COMMAND...: succeeds when the command ends with exactly that code; 77 (the
# command cannot run here) is handed on, unless it is the code expected.
expected=$1
shift
"$@"
seen=$?
if [ "$seen" -eq "$expected" ]; then exit 0; fi
if [ "$seen" -eq 77 ]; then exit 77; fi
echo "expect_exit: exit code $seen, expected $expected: $*" >&2
exit 1
