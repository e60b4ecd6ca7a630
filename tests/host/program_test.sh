#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# The program as a user meets it: exit codes, what it says, what it leaves behind.
#   program_test.sh LLEP CASE [argument...]
# Runs LLEP under $MPIRUN on the host executor; CASE is one of the functions below, or of the file
# $PROGRAM_CASES. 77: skipped.
set -euo pipefail

llep=$1 case=$2
shift 2
script=$(realpath "$0")
source_dir=$(cd "$(dirname "$script")/../.." && pwd)
read -ra mpirun <<<"${MPIRUN:-mpirun --oversubscribe --bind-to none}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
skipped=0
shape=(--device host -d 256 -k 2 --experts-per-rank 2)
small=("${shape[@]}" -t 4 --iters 5 --warmup 2)

fail() {
  echo "FAILED: $*"
  echo "--- stdout"; cat out
  echo "--- stderr"; cat err
  exit 1
}

# Heaps of processes that are gone. Tests that run beside this one have live ones.
leftovers() {
  local file pid
  for file in /dev/shm/llep-*; do
    pid=${file#/dev/shm/llep-}
    if [ -e "$file" ] && [ ! -d "/proc/${pid%%-*}" ]; then echo "$file"; fi
  done
}
leftovers_before=$(leftovers)

# run CODE ARGUMENT-OF-MPIRUN...: CODE may be "failure", any but 0.
run() {
  local want=$1 code=0
  shift
  "${mpirun[@]}" "$@" >out 2>err || code=$?
  case $want in
    failure) [ "$code" -ne 0 ] || fail "exit code 0, expected another: $*" ;;
    *) [ "$code" -eq "$want" ] || fail "exit code $code, expected $want: $*" ;;
  esac
  [ "$(leftovers)" = "$leftovers_before" ] || fail "left in /dev/shm: $(leftovers)"
}

says() { # FILE REGEX...
  local file=$1 regex
  shift
  for regex in "$@"; do grep -Eq -- "$regex" "$file" || fail "std$file does not say '$regex'"; done
}

# One clear line, and nothing written.
complains() { # CODE REGEX ARGUMENT-OF-MPIRUN...
  local code=$1 regex=$2
  shift 2
  run "$code" "$@"
  [ "$(grep -c '^llep: ' err)" -eq 1 ] || fail "not one line of complaint: $*"
  says err "^llep: .*$regex"
  [ -z "$(find . -name '*.json' -print)" ] || fail "wrote $(find . -name '*.json')"
}

# A Python expression over the results `d` that must be true.
json() {
  python3 -c 'import json, sys; d = json.load(open(sys.argv[1])); sys.exit(not eval("(" + sys.argv[2] + ")"))' \
    r.json "$1" || { cat r.json; fail "r.json: not so: $1"; }
}

# By the schema. A file whose name ends so is another schema than run's. Without a validator the rest
# is looked at, and the test is skipped.
valid() {
  local code=0 schema=schema.json
  if [[ $1 == *.schema.json ]]; then schema=$1; shift; fi
  python3 "$source_dir/tests/host/validate_schema.py" "$source_dir/results/$schema" "$@" || code=$?
  case $code in
    0) ;;
    77) skipped=77 ;;
    *) fail "not valid by the schema: $*" ;;
  esac
}

need_python() {
  command -v python3 >/dev/null || { echo "no python3 here"; exit 77; }
}

# --- runs that end well --------------------------------------------------------------------------

schema() {
  need_python
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --dispatch-dtype bf16,fp8 \
    --phases fused,split --op dispatch,combine,pair --mask 2 --uneven-tokens 4,0,3
  valid r.json
  says out '^host executor \(timings are not GPU timings\), 3 ranks' '^results: r.json$'
  [ "$(grep -c ' ok$' out)" -eq 12 ] || fail "not 12 rows of the table"
  json 'd["complete"] and d["errors"] == [] and len(d["benchmarks"]) == 12'
  json 'all(b["correctness"]["passed"] is True and b["correctness"]["checked_iterations"] >= 2
            for b in d["benchmarks"])'
  json 'd["context"]["executor"] == "host" and d["context"]["world_size"] == 3 and
        d["context"]["nodes"] == [0, 0, 0]'
  json 'd["context"]["gpu_health"] is None and d["context"]["warnings"] == [] and
        d["context"]["nvidia_driver"] is None and d["context"]["traces"] == {} and
        len(d["context"]["processors"]) == 3 and " threads" in d["context"]["processors"][2]'
  # Halves that are launched apart are timed apart.
  json 'all((b["latency_us"]["send"] is not None and b["latency_us"]["receive"]["samples"] == 5) ==
            (b["config"]["phases"] == "split" and b["op"] != "pair") for b in d["benchmarks"])'
}

# SIGTERM to one rank ends all in order; what was measured is in the file.
stopped() {
  need_python
  local code=0 long=(run "${shape[@]}" -t 1,2 --iters 100000 --json r.json)
  # shellcheck disable=SC2016  # for the shell that becomes rank 1
  "${mpirun[@]}" -np 1 "$llep" "${long[@]}" : \
    -np 1 sh -c 'echo $$ >pid; exec "$@"' sh "$llep" "${long[@]}" >out 2>err &
  local mpirun_pid=$!
  for _ in $(seq 300); do [ ! -s r.json ] || break; sleep 0.1; done
  kill -TERM "$(cat pid)"
  wait "$mpirun_pid" || code=$?
  [ "$code" -eq 130 ] || fail "exit code $code, expected 130"
  says err '^llep: stopped by SIGTERM to rank 1; what had been measured is kept$'
  says out '^results \(incomplete\): r.json$'
  valid r.json
  json 'd["complete"] is False and "stopped by SIGTERM" in d["errors"][-1]["message"]'
  [ "$(leftovers)" = "$leftovers_before" ] || fail "left in /dev/shm: $(leftovers)"
}

# Files that older versions wrote stay valid.
curated_results() {
  local file
  for file in "$source_dir"/results/*.json; do
    case $(basename "$file") in
      *schema.json) ;;
      *floors*) valid floors.schema.json "$file" ;;
      *) valid "$file" ;;
    esac
  done
}

# Every field of the schemas says what it is, and results/README.md has those of a run by name.
described() {
  need_python
  python3 - "$source_dir/results" >out 2>err <<'PYTHON' || fail "not every field is described"
import json, pathlib, re, sys

folder = pathlib.Path(sys.argv[1])
missing = []

def look(node, where):
    for name, field in node.get("properties", {}).items():
        if "description" not in field:
            missing.append(f"{where}/{name}")
        look(field, f"{where}/{name}")
    for name, inner in node.get("$defs", {}).items():
        look(inner, f"{where}/{name}")
    if "items" in node:
        look(node["items"], where)

for schema in sorted(folder.glob("*schema.json")):
    look(json.loads(schema.read_text(encoding="utf-8")), schema.name)
words = set(re.findall(r"[a-z0-9_]+", (folder / "README.md").read_text(encoding="utf-8")))
defs = json.loads((folder / "schema.json").read_text(encoding="utf-8"))["$defs"]
for part in ["context", "gpu_health", "config", "benchmark", "gate", "error"]:
    missing += [f"README.md: {part}.{name}" for name in defs[part]["properties"] if name not in words]
print(*missing, sep="\n")
sys.exit(bool(missing))
PYTHON
}

# Without a validator that is a test skipped, not passed.
no_validator() {
  need_python
  echo 'raise ImportError("no jsonschema")' >jsonschema.py
  local code=0
  PYTHONPATH=$PWD "$BASH" "$script" "$llep" curated_results >out 2>err || code=$?
  [ "$code" -eq 77 ] || fail "exit code $code, expected 77"
}

# Two steps of three ranks into t.jsonl.
trace() {
  python3 -c 'import json
for step in range(2):
  for rank in range(3):
    topk_idx = [[(rank + token + step) % 6, 5 - rank if step else -1] for token in range(4)]
    topk_idx = [[a, -1 if a == b else b] for a, b in topk_idx]
    print(json.dumps({"step": step, "rank": rank, "topk_idx": topk_idx}))' >t.jsonl
}

routings() {
  need_python
  trace
  local all=uniform,balanced,zipf:1.2,hot-expert:0.5,hot-rank:0.5,local,remote,permute
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --check all \
    --routing "$all,group-limited:3,2,trace:$PWD/t.jsonl"
  says out 'paired, trace:t.jsonl routing'
  valid r.json
  json '[b["config"]["routing"] for b in d["benchmarks"][::2]][-2:] ==
        ["group-limited:3,2", "trace:t.jsonl"] and len(d["benchmarks"]) == 2 * 10'
  json 'list(d["context"]["traces"]) == ["t.jsonl"]'
  json 'all(b["correctness"] == {"passed": True, "checked_iterations": 5} for b in d["benchmarks"])'
  json '{b["config"]["routing"]: b["load"]["ranks_per_token"]["max"] for b in d["benchmarks"]
        }["permute"] == 1'
  json 'all((b["bytes"]["nvlink"]["total"] == 0) == (b["config"]["routing"] == "local")
            for b in d["benchmarks"])'
}

# Another routing in every iteration; the load is the first's, bytes are means.
fresh_routing() {
  need_python
  trace
  run 0 -np 3 "$llep" run "${small[@]}" --json still.json --routing zipf:1.2
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --fresh-routing --routing zipf:1.2
  json 'all(b["load"] == still["load"] and b["bytes"]["rdma"] == still["bytes"]["rdma"] and
            b["bytes"]["nvlink"] != still["bytes"]["nvlink"]
            for b, still in zip(d["benchmarks"], json.load(open("still.json"))["benchmarks"]))'
  run 0 -np 3 "$llep" run "${shape[@]}" -t 4 --iters 1 --json r.json --fresh-routing \
    --routing zipf:1.2
  json '[b["bytes"] for b in d["benchmarks"]] ==
        [b["bytes"] for b in json.load(open("still.json"))["benchmarks"]]'
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --check all --fresh-routing --mask 1 \
    --uneven-tokens random --op dispatch,combine,pair --mode paired,chained,graph --chain 2 \
    --payload reference --dispatch-dtype fp8 --routing "zipf:1,trace:t.jsonl"
  valid r.json
  json 'all(b["config"]["fresh_routing"] and b["name"].endswith("-mask1-uneven-fresh") and
            b["correctness"] == {"passed": True, "checked_iterations": 5}
            for b in d["benchmarks"] if b["config"]["mode"] != "graph")'
  # What is injected is found in fresh routings too.
  run 3 -np 2 "$llep" run "${small[@]}" --json r.json --fresh-routing \
    --inject misroute:rank=1,iter=3
}

verbose() {
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --verbose --transport ipc,auto
  says out '^transport: auto is ipc' '^  dispatch window ' '^  rank 1: host on .*, cpus ' \
    '^  load: [0-9]+ to [0-9]+ rows per rank' '^  dispatch: slowest of 5 iterations: rank '
  [ "$(grep -c ' ok$' out)" -eq 2 ] || fail "auto is ipc: the case is to run once"
}

# Nobody names a file: it lies in results/local, and a second run takes another name.
default_place() {
  run 0 -np 2 "$llep" run "${small[@]}" --anonymous
  run 0 -np 2 "$llep" run "${small[@]}" --anonymous
  [ "$(find results/local -name '*.json' | wc -l)" -eq 2 ] || fail "not two files in results/local"
  ! grep -rq "$(hostname)" results || fail "--anonymous tells the host's name"
  need_python
  valid results/local/*.json
}

help_and_version() {
  "$llep" --help >out 2>err && says out 'run '
  run 0 -np 2 "$llep" run --help
  says out '--num-tokens' '--inject' '^Exit codes: '
  [ "$(grep -c '^Exit codes: ' out)" -eq 1 ] || fail "help is printed more than once"
  run 0 -np 2 "$llep" --version
  says out '^llep [0-9]+\.[0-9]+\.[0-9]+'
}

dry_run() {
  run 0 -np 2 "$llep" run "${small[@]}" --dry-run --json r.json --dispatch-dtype bf16,fp8
  says out '^symmetric heap: .* per rank, 2 cases$' '^  ipc fp8 rank fused paired E4 K2 H256 T4 ' \
    '^  combine window '
  # Two terabytes for a rank: a dry run allocates nothing.
  run 0 -np 2 "$llep" run --device host -t 1000000 -d 16384 -k 32 -e 512 --dry-run
  says out '^symmetric heap: [0-9]{7}\.[0-9] MiB per rank'
  [ -z "$(find . -name '*.json')" ] || fail "a dry run wrote $(find . -name '*.json')"
}

# Command line before environment before config before default.
sources() {
  need_python
  echo '{"num-tokens": 7, "hidden": 384, "iters": 3, "dispatch-dtype": ["bf16", "fp8"]}' >c.json
  LLEP_HIDDEN=256 LLEP_ITERS=4 LLEP_SEED=0x11 LLEP_CHECK=all \
    run 0 -np 2 "$llep" run --config c.json --device host -k 2 -e 4 --iters 2 --json r.json
  json '{(b["config"]["num_tokens"], b["config"]["hidden"], b["config"]["iters"])
         for b in d["benchmarks"]} == {(7, 256, 2)}'
  json 'len(d["benchmarks"]) == 4 and d["benchmarks"][0]["config"]["seed"] == 17'
  json 'd["context"]["environment"]["LLEP_HIDDEN"] == "256"'
  rm r.json
  LLEP_CONFIG=c.json run 0 -np 2 "$llep" run --device host -k 2 -e 4 --json r.json
  json 'd["benchmarks"][0]["config"]["num_tokens"] == 7'
  rm r.json c.json
  LLEP_ITERS=none complains 2 'LLEP_ITERS: ' -np 2 "$llep" run "${small[@]::8}" --json r.json
}

config() { # NAME RANKS [option...]: one of ours, as it is
  local name=$1 ranks=$2
  shift 2
  run 0 -np "$ranks" "$llep" run --config "$source_dir/configs/$name.json" --device host \
    --json r.json "$@"
  if [ ! -e r.json ]; then return; fi
  need_python
  valid r.json
  json 'd["complete"] and all(b["status"] == "ok" and b["correctness"]["passed"] is True
                              for b in d["benchmarks"])'
}

# --- faults made on purpose ----------------------------------------------------------------------

inject() { # CODE FAULT JSON-EXPRESSION REGEX-OF-STDERR...
  local code=$1 fault=$2 expression=$3
  shift 3
  need_python
  # Two cases: the second one does not run any more.
  run "$code" -np 2 "$llep" run "${small[@]}" --dispatch-dtype bf16,fp8 --json r.json \
    --timeout-ms 3000 --inject "$fault"
  says err "$@"
  valid r.json
  json "$expression"
}

# What a case that failed leaves: its own entries and an error for each rank that saw it.
kFailed='not d["complete"] and len(d["benchmarks"]) == 2 and d["errors"] and '

corrupt_dispatch() {
  inject 3 corrupt:rank=1,iter=2 \
    "$kFailed"'all(e["phase"] == "dispatch: check" and e["peer"] == 1 and e["token"] == 0 and
     e["expert"] is not None and e["row"] is not None and e["column"] == 0 and
     e["expected"].startswith("0x") and e["seen"].startswith("0x") for e in d["errors"])' \
    'llep: rank [01]: dispatch: expert [0-3] row [0-9]+ \(source rank 1, token 0\): first bad column 0: expected 0x'
  json '[b["correctness"]["passed"] for b in d["benchmarks"]] == [False, True]'
}
corrupt_combine() {
  inject 3 corrupt:rank=1,iter=2,op=combine \
    "$kFailed"'all(e["phase"] == "combine: check" and e["token"] is not None for e in d["errors"])' \
    'llep: rank [01]: combine: token [0-3]: first bad column 0: expected 0x'
  json '[b["correctness"]["passed"] for b in d["benchmarks"]] == [True, False]'
}
misroute() {
  inject 3 misroute:rank=1,iter=2 \
    "$kFailed"'any(e["phase"] == "dispatch: check" and e["expert"] is not None for e in d["errors"])' \
    'llep: rank [01]: (packed_recv_count|layout_range|src_info): expert [0-3]'
}
kWaited="all(e['peer'] == 1 and e['expert'] is not None and e['token'] is not None and
             e['expected'] - e['seen'] == 2 for e in d['errors'])"
drop_dispatch() {
  inject 4 drop:rank=1,iter=2 "$kFailed$kWaited" \
    'llep: rank [01]: dispatch: row: waited 3000 ms for rank 1, expert [0-3], token 0: expected epoch [0-9]+, seen [0-9]+'
}
drop_combine() {
  inject 4 drop:rank=1,iter=2,op=combine "$kFailed$kWaited" \
    'llep: rank [01]: combine: row: waited 3000 ms for rank 1, expert [0-3], token [0-3]: expected epoch [0-9]+, seen [0-9]+'
}
delay() {
  inject 0 delay:rank=1,iter=2,us=200000 \
    'd["complete"] and len(d["benchmarks"]) == 4 and d["errors"] == [] and
     all(b["samples_us"][2] > 200000 and b["correctness"]["passed"] is True
         for b in d["benchmarks"] if b["op"] == "dispatch")'
  # Split halves: the other rank waits for the late rows in its receive half.
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --phases split --op dispatch \
    --inject delay:rank=1,iter=2,us=300000
  json 'd["benchmarks"][0]["latency_us"]["receive"]["max"] > 100000'
}
hang() {
  inject 4 hang:rank=1,iter=2 \
    'not d["complete"] and d["errors"][0]["phase"].startswith("dispatch: ") and
     d["errors"][0]["peer"] == 1' \
    'llep: rank 0: iteration 2 of ipc bf16 rank fused paired E4 K2 H256 T4 did not end within 14 s; rank 0: dispatch: [a-z]+: waited 3000 ms for rank 1: expected epoch' \
    'llep: rank 1: iteration 2 of .* did not end within 14 s; none of its own waits has failed'
}
kill_rank() {
  inject failure kill:rank=1,iter=2 'not d["complete"] and d["benchmarks"] == []' 'signal 9'
}

# --- fifo over MPI --------------------------------------------------------------------------------

on_fifo() { # CODE FAULT JSON-EXPRESSION REGEX-OF-STDERR...: with other options of the run in fifo=()
  small+=(--transport fifo --fifo-wire mpi "${fifo[@]}")
  inject "$@"
}
kNoData='d["benchmarks"] == [] or not d["complete"]'

fifo_drop() {
  local fifo=()
  on_fifo 4 drop:rank=1,iter=2 "$kFailed"'d["errors"][0]["phase"] == "dispatch: row" and
    d["errors"][-1]["phase"] == "transport"' \
    'llep: rank [01]: dispatch: row: waited 3000 ms for rank 1' \
    'llep: rank 1: proxy 0 has read [0-9]+ of [0-9]+ descriptors, [0-9]+ are complete'
}
fifo_stall() {
  local fifo=(--proxy-threads 2 --qps-per-peer 2)
  on_fifo 4 stall:rank=1,iter=2 "$kFailed"'d["errors"][-1]["rank"] == 1' \
    'llep: rank 0: dispatch: [a-z]+: waited 3000 ms for rank 1' \
    'llep: rank 1: proxy 0 has read [0-9]+ of [0-9]+ descriptors, .*; proxy 1 has read'
}
fifo_full() {
  local fifo=(--fifo-depth 2 --host-blocks 1 --host-warps 1)  # what waits first waits for room
  on_fifo 4 stall:rank=1,iter=2 "$kFailed"'any(e["phase"] == "fifo: room in a ring" and
    e["rank"] == 1 and e["peer"] == 0 for e in d["errors"])' \
    'llep: rank 1: fifo: room in a ring: waited 3000 ms: [0-9]+ of [0-9]+ descriptors have been read; the proxy thread or its wire stands still \(the next is for rank 0\)'
}
fifo_kill() {
  local fifo=()
  on_fifo failure kill:rank=1,iter=2 "$kNoData" 'signal 9'
}
# What each pair used, and that nothing else may be asked for in vain.
fifo_paths() {
  need_python
  run 0 -np 4 "$llep" run "${small[@]}" --transport fifo,hybrid-fifo,ipc --fifo-wire mpi \
    --ranks-per-node 2 --proxy-threads 2 --qps-per-peer experts --json r.json
  valid r.json
  says out '^transport: fifo: wire mpi$' 'skipped: transport ipc: the ranks run on 2 nodes \(pretended'
  json '[t["name"] for t in d["context"]["transports"]] == ["fifo", "hybrid-fifo"]'
  json '[t["paths"][0] for t in d["context"]["transports"]] ==
        [["self"] + 3 * ["fifo-mpi"], ["self", "ipc", "fifo-mpi", "fifo-mpi"]]'
  json 'all(len(one) == 2 and min(one) > 0 for t in d["context"]["transports"]
            for one in t["proxy_cpu"])'
  json '[b["status"] for b in d["benchmarks"]] == 4 * ["ok"] + 2 * ["skipped"]'
  json 'all((b["bytes"]["nvlink"]["total"] > 0) == (b["transport"] == "hybrid-fifo") and
            b["bytes"]["rdma"]["total"] > 0 for b in d["benchmarks"] if b["status"] == "ok")'
}
fifo_refused() {
  local -a on2=(-np 2 "$llep" run "${small[@]}" --json r.json)
  complains 5 'transport ipc: the ranks run on 2 nodes .pretended by --ranks-per-node' "${on2[@]}" \
    --transport ipc --ranks-per-node 1
  complains 5 '--signal atomic: wire mpi has no atomic signals' "${on2[@]}" --transport fifo \
    --fifo-wire mpi --signal atomic
  complains 2 "--fifo-depth: '3' is not a power of two" "${on2[@]}" --fifo-depth 3
  complains 2 "--proxy-threads: '17' is more than 16" "${on2[@]}" --proxy-threads 17
  complains 2 "--sl: '16' is more than 15" "${on2[@]}" --sl 16
  complains 2 "--tc: '256' is more than 255" "${on2[@]}" --tc 256
  if ls /sys/class/infiniband/* >/dev/null 2>&1; then return; fi
  complains 5 'verbs: ' "${on2[@]}" --transport fifo --fifo-wire verbs
}
list() {
  run 0 -np 1 "$llep" list
  says out '^executors' '^  host ' '^  cuda ' '^transports' '^  ipc ' '^  fifo ' '^  hybrid-fifo ' \
    '^  auto ' '^axes' '^  --num-tokens ' '^  --mode '
  [ "$(grep -c 'here over ' out)" -eq 2 ] || fail "not said which wires a fifo can have"
}

# --- command lines that cannot work --------------------------------------------------------------

bad_values() {
  local -a on2=(-np 2 "$llep" run --device host --json r.json)
  complains 2 'the following|--nope' "${on2[@]}" --nope
  complains 2 'hidden' "${on2[@]}" -d 100
  complains 2 'num_topk' "${on2[@]}" -k 33
  complains 2 'num_experts' "${on2[@]}" -e 33
  complains 2 'num_topk' "${on2[@]}" -e 4 -k 5
  complains 2 '--experts-per-rank: ' "${on2[@]}" --experts-per-rank 2000
  complains 2 "--transport: .*hybrid-fifo" "${on2[@]}" --transport nvlink
  complains 2 '--uneven-tokens: 3 values for 2 ranks' "${on2[@]}" --uneven-tokens 1,2,3
  complains 2 '--inject: rank=2, but there are 2 ranks' "${on2[@]}" --inject drop:rank=2,iter=0
  echo '{"num-token": 7}' >c.txt
  complains 2 "config c.txt: unknown key 'num-token'" "${on2[@]}" --config c.txt
  complains 2 'what to do is missing' -np 2 "$llep"
}

bad_routings() {
  local -a on2=(-np 2 "$llep" run "${small[@]}" --json r.json)
  complains 2 "--routing: 'zip:1' is not one of uniform, " "${on2[@]}" --routing zip:1
  complains 2 '--routing remote: num-topk 2 is above the 0 experts of the 0 other ranks' \
    -np 1 "${on2[@]:2}" --routing remote
  complains 2 '--routing local: num-topk 3 is above the 2 experts of a rank' "${on2[@]}" \
    --routing uniform,local -k 3
  complains 2 '--routing trace:none.npy: cannot open it: No such file' "${on2[@]}" \
    --routing trace:none.npy
  echo '{"step": 0, "rank": 0, "topk_idx": [[0, 7]]}' >t.jsonl
  complains 2 '--routing trace:t.jsonl: the file: 1 ranks, but this run has 2' "${on2[@]}" \
    --routing trace:t.jsonl --dry-run
}

different_options() {
  local -a first=(-np 1 "$llep" run "${small[@]}" --json r.json)
  complains 2 'rank 1 was given other options: --seed ' "${first[@]}" : "${first[@]}" --seed 3
  complains 2 'rank 1 was given other options: --mask ' "${first[@]}" : \
    -np 1 env LLEP_MASK=1 "${first[@]:2}"
  complains 2 'rank 1: .*--nope' "${first[@]}" : "${first[@]}" --nope
  complains 2 'rank 0: .*--nope' "${first[@]}" --nope : "${first[@]}"
  complains 2 'rank 1 was given another command' "${first[@]}" : -np 1 "$llep" run --help
  complains 2 'rank 1 was given another command' -np 1 "$llep" --version : "${first[@]}"
}

unavailable() {
  if command -v nvidia-smi >/dev/null && nvidia-smi -L >/dev/null 2>&1; then
    echo "there is a GPU here"
    exit 77
  fi
  complains 5 '--device cuda: rank 0 sees no GPU.*use --device host' -np 2 "$llep" run \
    --device cuda --json r.json
}

no_room() {
  # More than a terabyte in /dev/shm.
  complains 1 'bytes of shared memory in /dev/shm: .*enlarge /dev/shm' -np 2 "$llep" run \
    --device host -t 1000000 -d 16384 -k 8 -e 16 --dispatch-copies selection --json r.json
}

# Room for some heaps, not for all: those who have theirs give it back.
half_room() {
  if [ "${1:-}" != inside ]; then
    unshare -m true 2>/dev/null || { echo "no mount namespaces here"; exit 77; }
    unshare -m "$BASH" -c 'mount -t tmpfs -o size=80m tmpfs /dev/shm && exec "$@"' - \
      "$BASH" "$script" "$llep" half_room inside
    return
  fi
  complains 1 'bytes of shared memory in /dev/shm: .*enlarge /dev/shm' --mca btl self,tcp -np 3 \
    "$llep" run --device host -t 128 -k 8 -e 15 --json r.json
}

unwritable() {
  complains 2 'results file /proc/r.json: ' -np 2 "$llep" run "${small[@]}" --json /proc/r.json
  complains 2 'results file /dev/null: .*not a regular file' -np 2 "$llep" run "${small[@]}" \
    --json /dev/null
  mkdir taken
  complains 2 'results file taken: ' -np 2 "$llep" run "${small[@]}" --json taken
}

# shellcheck source=/dev/null
if [ -n "${PROGRAM_CASES:-}" ]; then source "$PROGRAM_CASES"; fi
"$case" "$@"
exit $skipped
