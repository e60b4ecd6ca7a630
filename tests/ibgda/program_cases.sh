# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2034,SC2154
# Cases of tests/host/program_test.sh over the software adapter $TWIN, which only the ranks see.

real_llep=$llep
llep=$folder/llep
printf '#!/bin/sh\nLD_PRELOAD=%s exec %s "$@"\n' "$TWIN" "$real_llep" >"$llep"
chmod +x "$llep"
mpirun+=(--mca btl self,vader)

over() { # CODE FAULT JSON-EXPRESSION REGEX-OF-STDERR...: with other options of the run in ibgda=()
  small+=(--transport ibgda "${ibgda[@]}")
  inject "$@"
}

# What each pair used, what stood in, and what auto is.
paths() {
  need_python
  run 0 -np 4 "$llep" run "${small[@]}" --transport ibgda,hybrid-ibgda,auto --ranks-per-node 2 \
    --qps-per-peer experts --signal write,atomic --json r.json
  valid r.json
  says out '^transport: auto is hybrid-ibgda, the ranks are on 2 nodes \(pretended' \
    '^transport: ibgda: mlx5_0 port 1 GID 0' '^transport: hybrid-ibgda, atomic signals: '
  json 'd["context"]["stand_ins"] == ["softmlx5"] and len(d["benchmarks"]) == 8'
  json 'all(a.startswith("vendor 0x2c9 part ") for t in d["context"]["transports"]
            for a in t["adapters"])'
  json '[t["paths"][0] for t in d["context"]["transports"]] ==
        2 * [["self"] + 3 * ["ibgda"]] + 2 * [["self", "ipc", "ibgda", "ibgda"]] or
        [t["paths"][0] for t in d["context"]["transports"]] ==
        2 * [["self"] + 3 * ["ibgda"], ["self", "ipc", "ibgda", "ibgda"]]'
  json 'all(t["proxy_cpu"] == 4 * [[]] for t in d["context"]["transports"])'
  json 'all(b["status"] == "ok" and b["bytes"]["rdma"]["total"] > 0 for b in d["benchmarks"])'
  # One node: nobody is far.
  rm r.json
  run 0 -np 2 "$llep" run "${small[@]}" --transport hybrid-ibgda --json r.json
  json 'd["context"]["transports"][0]["paths"] == [["self", "ipc"], ["ipc", "self"]]'
}

fifo_paths() {
  need_python
  run 0 -np 4 "$llep" run "${small[@]}" --transport fifo,hybrid-fifo --ranks-per-node 2 --json r.json
  valid r.json
  says out '^transport: fifo: verbs: mlx5_0 port 1 GID 0' '^transport: hybrid-fifo: verbs: '
  json 'all("(auto: every rank has a port); proxies" in t["descriptions"][1]
            for t in d["context"]["transports"])'
  json '[t["paths"][3] for t in d["context"]["transports"]] ==
        [3 * ["fifo-verbs"] + ["self"], ["fifo-verbs", "fifo-verbs", "ipc", "self"]]'
}

# One rank sees the adapter: all use MPI.
fifo_without_a_port() {
  if ls /sys/class/infiniband/* >/dev/null 2>&1; then echo "there is a port here"; exit 77; fi
  local -a on=(run "${small[@]}" --transport fifo --json r.json)
  run 0 -np 1 "$llep" "${on[@]}" : -np 1 "$real_llep" "${on[@]}"
  says out '^transport: fifo: wire mpi \(auto: rank 1: verbs: '
}

list() {
  LD_PRELOAD='' run 0 -np 1 "$real_llep" list
  says out '^  ibgda ' '^  hybrid-ibgda '
  if ls /sys/class/infiniband/mlx5* >/dev/null 2>&1; then return; fi
  [ "$(grep -A1 'ibgda  ' out | grep -c 'not here: ')" -eq 2 ] ||
    fail "ibgda is not said to be unavailable"
  run 0 -np 1 "$llep" list
  ! grep -A1 'ibgda  ' out | grep -q 'not here: ' || fail "ibgda is said to be unavailable"
  [ "$(grep -c 'here over verbs' out)" -eq 2 ] || fail "the adapter carries fifos as well"
}

# More experts than the reference has channels, and a queue pair for each of them.
experts() {
  need_python
  run 0 -np 2 "$llep" run --device host -t 40 -d 128 -k 8 --experts-per-rank 20 --iters 4 \
    --check all --transport ibgda --qps-per-peer experts --ring-every tail --json r.json
  json 'all(b["correctness"]["passed"] is True for b in d["benchmarks"])'
}

# What the adapter may do and a polite one does not: each mode alone, then several at once.
adversary() {
  need_python
  local modes
  for modes in delay interleave split completions stall; do
    export SOFTMLX5_ADVERSARY=$modes:seed=7
    run 0 -np 2 "$llep" run --device host -t 1,5,17 -d 1024 -k 3 --experts-per-rank 3 \
      --iters 2 --warmup 0 --check all --transport ibgda --send-depth 64 --json r.json
    json 'len(d["benchmarks"]) == 6 and
          all(b["correctness"]["passed"] is True for b in d["benchmarks"])'
  done
  for modes in delay,interleave split,completions delay,interleave,split,completions,stall; do
    export SOFTMLX5_ADVERSARY=$modes:seed=7
    run 0 -np 3 "$llep" run --device host -t 17 -d 512 -k 4 --experts-per-rank 3 --iters 3 \
      --warmup 1 --check all --transport ibgda --send-depth 64 --json r.json
    json 'all(b["correctness"]["passed"] is True for b in d["benchmarks"])'
  done
}

# An adapter that lets plain writes to such memory pass each other: then signals are atomics.
relaxed() {
  export SOFTMLX5_ADVERSARY=relaxed:seed=7
  need_python
  local -a load=(-np 2 "$llep" run --device host -t 33 -d 512 -k 4 --experts-per-rank 3 --iters 6
    --check all --transport ibgda --json r.json)
  run 0 "${load[@]}"
  json 'all("host memory, signals by write" in t["descriptions"][1]
            for t in d["context"]["transports"])'
  run 0 "${load[@]}" --relaxed-ordering on
  json 'all("with relaxed ordering, signals by atomic" in t["descriptions"][1]
            for t in d["context"]["transports"])'
  json 'all(b["correctness"]["passed"] is True for b in d["benchmarks"])'
}

# Ethernet, and a device for each rank.
roce() {
  export SOFTMLX5_LINK=eth SOFTMLX5_DEVICES=2
  need_python
  run 0 -np 2 "$llep" run "${small[@]}" --transport ibgda --nic-map mlx5_0,mlx5_1 \
    --signal write,atomic --check all --json r.json
  says out '^transport: ibgda: mlx5_0 port 1 GID 3 \(RoCEv2 '
  json '[t["descriptions"][r].split(",")[0].split(" GID 3 (RoCEv2 ")[0]
         for t in d["context"]["transports"] for r in (0, 1)] ==
        2 * ["mlx5_0 port 1", "mlx5_1 port 1"]'
  json 'all("warning: ranks" not in text for t in d["context"]["transports"]
            for text in t["descriptions"])'
  json 'len(d["benchmarks"]) == 4 and
        all(b["correctness"]["passed"] is True for b in d["benchmarks"])'
}

modes() {
  need_python
  run 0 -np 3 "$llep" run "${small[@]}" --transport ibgda,hybrid-ibgda --ranks-per-node 2 \
    --mode paired,fresh,chained --phases fused,split --op dispatch,combine,pair --check all \
    --floors measure --json r.json
  valid r.json
  json 'len(d["benchmarks"]) == 2 * 3 * 2 * 3 and
        all(b["correctness"] == {"passed": True, "checked_iterations": 5} for b in d["benchmarks"]) and
        all((b["entry_skew_us"] is None) == (b["config"]["mode"] != "fresh") for b in d["benchmarks"])'
}

# --- faults --------------------------------------------------------------------------------------

# Doorbells that reach nobody: this rank's entries never complete, the peer's waits pass.
doorbell() {
  local ibgda=()
  over 4 stall:rank=1,iter=2 "$kFailed"'any(e["phase"] == "ibgda: drain" and e["rank"] == 1 and
    e["peer"] == 0 for e in d["errors"])' \
    'llep: rank 0: dispatch: [a-z]+: waited 3000 ms for rank 1' \
    'llep: rank 1: ibgda: drain: waited 3000 ms for the adapter to complete [0-9]+ entries to rank 0, it has completed [0-9]+; does it hear its doorbells\?' \
    'llep: rank 1: queue to rank 0 channel 0: ([0-9]+) of \1 entries are rung, [0-9]+ were seen complete'
}
full() {
  local ibgda=(--send-depth 64 --phases split)
  small=(--device host -t 64 -d 256 -k 2 --experts-per-rank 2 --iters 5 --warmup 2)
  over 4 stall:rank=1,iter=2 "$kFailed"'any(e["phase"] == "ibgda: room in a send queue" and
    e["rank"] == 1 and e["peer"] == 0 for e in d["errors"])' \
    'llep: rank 1: ibgda: room in a send queue: waited 3000 ms for the adapter'
}
# One warp rings once an op: no later doorbell makes up for the one that the adapter does not hear.
lost_doorbell() {
  export SOFTMLX5_ADVERSARY=drop-doorbell=3
  local ibgda=(--ring-every 1000 --host-blocks 1 --host-warps 1)
  over 4 delay:rank=0,iter=4,us=1 'not d["complete"] and d["errors"]' 'waited 3000 ms for'
}
drop() {
  local ibgda=()
  over 4 drop:rank=1,iter=2 "$kFailed"'d["errors"][0]["phase"] == "dispatch: row"' \
    'llep: rank [01]: dispatch: row: waited 3000 ms for rank 1'
}
broken() {
  local ibgda=()
  over 1 break:rank=1,iter=2 "$kFailed"'any(e["phase"] == "transport" and e["rank"] == 1
    for e in d["errors"])' \
    'llep: rank 1: ibgda: writing to rank 0 over mlx5_0 port 1 GID 0 .*\(queue pair 0x[0-9a-f]+, channel 0\): completion status 5 .*in the error state already'
}
fifo_broken() {
  small+=(--transport fifo --fifo-wire verbs)
  inject 1 break:rank=1,iter=2 "$kFailed"'any(e["phase"] == "transport" and e["rank"] == 1
    for e in d["errors"])' \
    'llep: rank 1: verbs: writing to rank 0 over mlx5_0 port 1 GID 0 .*\(queue pair 0x[0-9a-f]+, channel 0\): completion status 5 .*in the error state already'
}
failing_entry() {
  export SOFTMLX5_ADVERSARY=error=40
  local ibgda=()
  over 1 delay:rank=0,iter=4,us=1 'not d["complete"] and
    any(e["phase"] == "transport" for e in d["errors"])' \
    'llep: rank [01]: ibgda: writing to rank [01] over mlx5_0 .*completion status [0-9]+'
}
killed() {
  local ibgda=()
  over failure kill:rank=1,iter=2 'd["benchmarks"] == [] or not d["complete"]' 'signal 9'
}

refused() {
  local -a on2=(-np 2 "$llep" run "${small[@]}" --transport ibgda --json r.json)
  complains 2 "--send-depth: '32' " "${on2[@]}" --send-depth 32
  complains 2 "--send-depth: '100' is not a power of two" "${on2[@]}" --send-depth 100
  complains 2 "--ring-every: '0' " "${on2[@]}" --ring-every 0
  complains 2 '--nic-map: rank 0 has no usable port rxe0; it has mlx5_0' "${on2[@]}" --nic-map rxe0
  complains 5 'GID' "${on2[@]}" --gid-index 77
  complains 5 'queue pairs .max_qp. are needed, the device has at most [0-9]+; fewer --qps-per-peer' \
    "${on2[@]}" --qps-per-peer 10000
  complains 5 'work requests per queue pair .max_qp_wr.' "${on2[@]}" --send-depth 1048576
  # libmlx5 takes four blocks for each work request of a queue pair: fewer than max_qp_wr fit.
  complains 5 'a queue pair for 16384 work requests on mlx5_0: Invalid argument; a smaller --send-depth' \
    "${on2[@]}" --send-depth 16384
  if ls /sys/class/infiniband/* >/dev/null 2>&1; then return; fi
  # One rank alone has no adapter: all say so and name it.
  complains 5 'rank 1: verbs: ' -np 1 "$llep" run "${small[@]}" --transport ibgda --json r.json : \
    -np 1 "$real_llep" run "${small[@]}" --transport ibgda --json r.json
  complains 5 'verbs: ' -np 2 "$real_llep" run "${small[@]}" --transport ibgda --json r.json
}

floors_of_queues() {
  need_python
  run 0 -np 2 "$llep" floors --device host --transport ibgda --sizes 8,16,4K --iters 2 --json r.json
  valid floors.schema.json r.json
  says out "softmlx5 stands in for" "^ibgda_doorbell +512 +1 +1 +1 " "^ibgda_rate +512 +8 +8 +32 "
  json 'd["complete"] and all(f["status"] == "ok" for f in d["floors"])'
  json 'len([f for f in d["floors"] if f["probe"] == "ibgda_rate" and f["per_second_p50"] > 0]) == 6'
}
