#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# llep export and llep compare as a user meets them: no MPI, no GPU, files alone.
#   files_test.sh LLEP CASE
# CASE is one of the functions below. 77: skipped.
set -euo pipefail

llep=$1 case=$2
source_dir=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
skipped=0  # 77: the rest holds, but there is no validator

fail() {
  echo "FAILED: $*"
  echo "--- stdout"; cat out
  echo "--- stderr"; cat err
  exit 1
}

# run CODE ARGUMENT...: with nothing in the environment but a component that MPI_Init would fail on,
# and what sanitizers are told.
run() {
  local want=$1 code=0
  shift
  env -i OMPI_MCA_pml=none "ASAN_OPTIONS=${ASAN_OPTIONS:-}" "LSAN_OPTIONS=${LSAN_OPTIONS:-}" \
    "${launched[@]}" "$llep" "$@" >out 2>err || code=$?
  [ "$code" -eq "$want" ] || fail "exit code $code, expected $want: $*"
}
launched=()

says() { # FILE REGEX...
  local file=$1 regex
  shift
  for regex in "$@"; do grep -Eq -- "$regex" "$file" || fail "std$file does not say '$regex'"; done
}

# One clear line, and nothing on stdout.
complains() { # REGEX ARGUMENT...
  local regex=$1
  shift
  run 2 "$@"
  [ "$(wc -l <err)" -eq 1 ] || fail "not one line of complaint: $*"
  [ ! -s out ] || fail "it prints something: $*"
  says err "^llep: .*$regex"
}

# The curated file as FILE, with the statements over `d` applied. `trials(b, n, f)`
# gives an entry n trials around f times its median.
make() { # FILE STATEMENTS
  python3 - "$source_dir/results/ipc-2xH100-modes.json" "$1" "$2" <<'PYTHON'
import json, sys

d = json.load(open(sys.argv[1], encoding="utf-8"))

def trials(b, n, f=1.0):
    us = b["latency_us"]["cross_rank_max"]["p50"] * f
    b["trial_p50_us"] = [us * (1 + 0.001 * i) for i in range(n)]

exec(sys.argv[3])
json.dump(d, open(sys.argv[2], "w", encoding="utf-8"))
PYTHON
}

# A Python expression over the JSON `d` of a file that must be true.
json() { # FILE EXPRESSION
  python3 -c 'import json, sys
d = json.load(open(sys.argv[1], encoding="utf-8"))
sys.exit(not eval("(" + sys.argv[2] + ")"))' "$@" || fail "$1: not so: $2"
}

# Few benchmarks, so that builds with sanitizers are quick as well.
kAll='d["context"]["git_revision"] = "0123456789ab"; d["benchmarks"] = d["benchmarks"][:12]; [trials(b, 10) for b in d["benchmarks"]]'

compare() {
  make base.json "$kAll"
  make slow.json "$kAll; trials(d['benchmarks'][10], 10, 1.5); d['context']['git_revision'] = 'f00'"
  make few.json "$kAll; [trials(b, 3) for b in d['benchmarks']]"
  make wrong.json "$kAll; d['benchmarks'][1]['correctness']['passed'] = False"
  make host.json "$kAll; d['context']['executor'] = 'host'"
  make hot.json "$kAll; d['context']['warnings'] = ['rank 1: its GPU was throttled (sw_power_cap)']
d['context']['arguments']['fifo-wire'] = 'mpi'"
  run 0 compare base.json base.json
  says err '^llep: warning: base.json and base.json are the same run$'
  says out '^base: base.json \(0123456789ab\)$' 'no change: [0-9]+, inconclusive: 0,'
  run 7 compare base.json slow.json --json c.json --markdown c.md
  says out '^new: slow.json \(f00\)$' '  1\.500  1\.4.* regression$' \
    '^regression: 1, improvement: 0'
  json c.json 'd["kind"] == "comparison" and d["unit"] == "trial" and
    [c["verdict"] for c in d["comparisons"]].count("regression") == 1'
  grep -q '| 1.500 | ' c.md || fail "c.md has no such row"
  local code=0
  python3 "$source_dir/tests/host/validate_schema.py" "$source_dir/results/compare.schema.json" \
    c.json || code=$?
  case $code in
    0) ;;
    77) skipped=77 ;;
    *) fail "not valid by the schema" ;;
  esac
  run 0 compare slow.json base.json
  says out '^regression: 0, improvement: 1'
  run 0 compare base.json slow.json --threshold 60%
  run 7 compare base.json wrong.json
  run 0 compare base.json few.json
  says out 'inconclusive: with [0-9]+ comparisons at alpha 0.05 at least 6 trials a side are needed'
  run 6 compare base.json few.json --strict
  complains 'context.executor: "cuda" in base.json, "host" in host.json; --force' \
    compare base.json host.json
  run 0 compare base.json host.json --force
  says err '^llep: warning: context.executor: '
  # What was said of a run is said of its comparison.
  run 0 compare hot.json base.json --json c.json --markdown c.md
  says err '^llep: warning: hot.json: rank 1: its GPU was throttled' \
    '^llep: warning: context.arguments.fifo-wire: "mpi" in hot.json, "auto" in base.json$'
  grep -q '^warning: hot.json: rank 1: ' c.md || fail "c.md does not warn"
  json c.json 'any("throttled" in warning for warning in d["warnings"])'
  complains '3 results; give a base and a new one' compare base.json base.json base.json
  complains "--threshold: 'much' is not a share" compare base.json base.json --threshold much
  complains 'results file none.json: No such file' compare base.json none.json
  complains 'kind is "floors"' compare base.json "$source_dir/results/fifo-H100-floors.json"
  complains 'RESULT is required' compare
  # Runs, not trials, where there are several.
  local i
  for i in 1 2 3 4; do
    make "one$i.json" "d['benchmarks'] = d['benchmarks'][:1]; trials(d['benchmarks'][0], 50)
d['context']['start_time'] = '2026-01-31T12:00:0${i}Z'"
    make "two$i.json" "d['benchmarks'] = d['benchmarks'][:1]
d['benchmarks'][0]['latency_us']['cross_rank_max']['p50'] *= 2 + 0.01 * $i"
  done
  run 0 compare one1.json one2.json --new two?.json
  says out 'at least 4 runs a side are needed' ' inconclusive$'
  run 7 compare one?.json --new two?.json
  says out '^unit: the median of each run$'
  # A run counts once, whatever its file is called.
  cp one1.json copy.json
  complains 'one1.json and copy.json are the same run; give each run once' \
    compare one?.json copy.json --new two?.json
  complains 'one1.json and one1.json are the same run' compare one?.json --new one1.json two?.json
  # Of several ranks, rank 0 acts.
  launched=(OMPI_COMM_WORLD_RANK=1)
  run 0 compare base.json slow.json
  [ ! -s out ] || fail "rank 1 prints"
  launched=(OMPI_COMM_WORLD_RANK=0)
  run 7 compare base.json slow.json
}

export_formats() {
  make r.json 'd["complete"] = False; d["benchmarks"] = d["benchmarks"][:72]
d["benchmarks"][0].update(status="skipped", reason="no peer access", latency_us=None)'
  local format
  for format in gbench bmf csv markdown; do
    run 0 export r.json --format "$format" -o - && cp out piped
    run 0 export r.json --format "$format" -o "new/$format"
    cmp -s piped "new/$format" || fail "$format: not the same in a file"
    says err '^llep: r.json is incomplete'
  done
  run 0 export r.json --format github-action -o new/action.json
  says err 'left out 1 entry: skipped: no peer access'
  json new/action.json '{e["unit"] for e in d} == {"us"} and len(d) == 71'
  json new/action.bandwidth.json '{e["unit"] for e in d} == {"GB/s"} and len(d) == 71'
  python3 - new/csv <<'PYTHON' || fail "csv is not what Python's reader expects"
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="", encoding="utf-8"), strict=True))
whole = all(None not in row for row in rows)
sys.exit(not (whole and rows[0]["status"] == "skipped" and float(rows[1]["p50_us"]) > 0))
PYTHON
  complains 'github-action is two files' export r.json --format github-action -o -
  complains "--format: 'yaml' is not one of gbench, " export r.json --format yaml -o x
  complains 'schema_version' export new/bmf --format csv -o x
  complains '/proc/x: ' export "$source_dir/results/ipc-2xH100-modes.json" \
    --format csv -o /proc/x
}

# Google Benchmark's own comparison reads it, and its U test agrees that the trials differ.
google_benchmark() {
  local tool=/usr/share/benchmark/compare.py python=/usr/bin/python3  # both of the distribution
  [ -e $tool ] || { echo "no $tool (Debian: libbenchmark-tools)"; exit 77; }
  $python -c 'import scipy.stats' 2>/dev/null ||
    { echo "no scipy (Debian: python3-scipy)"; exit 77; }
  make base.json "$kAll"
  make slow.json '[trials(b, 10, 1.5) for b in d["benchmarks"]]'
  run 0 export base.json --format gbench -o base.gbench.json
  run 0 export slow.json --format gbench -o slow.gbench.json
  $python $tool --no-color benchmarks base.gbench.json slow.gbench.json >out 2>err ||
    fail "compare.py does not accept it"
  says out '/T1/uniform +\+0\.5000 +\+0\.5000' \
    '/T1/uniform_pvalue +0\.000[0-9] .*Repetitions: 10 vs 10'
}

command -v python3 >/dev/null || { echo "no python3 here"; exit 77; }
"$case"
exit $skipped
