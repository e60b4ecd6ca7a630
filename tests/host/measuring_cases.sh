# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Cases of program_test.sh: how ops are timed, and what is made of it.

modes() {
  need_python
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --mode chained,graph --chain 3 \
    --phases fused,split --op dispatch,combine,pair --check all --transport ipc,fifo
  says out ', ipc, chained, uniform routing, 5 iterations of 3 ops( each|$)' \
    'skipped: the host executor has no graphs'
  valid r.json
  json 'd["complete"] and d["errors"] == [] and len(d["benchmarks"]) == 2 * 2 * 2 * 3'
  json 'all(b["status"] == "ok" and b["correctness"] == {"passed": True, "checked_iterations": 5}
            for b in d["benchmarks"] if b["config"]["mode"] == "chained")'
  json '{(b["status"], b["config"]["chain"]) for b in d["benchmarks"]
         if b["config"]["mode"] == "graph"} == {("skipped", 3)}'
  # What is injected is found in chains as well.
  run 3 -np 2 "$llep" run "${small[@]}" --json r.json --mode chained --chain 4 \
    --inject corrupt:rank=1,iter=2,op=combine
  says err 'llep: rank [01]: combine: token [0-3]: first bad column 0: expected 0x'
  rm r.json
  complains 2 '--inject drop: a graph replays' -np 2 "$llep" run "${small[@]}" --json x.json \
    --mode graph --inject drop:rank=1,iter=0
}

trials() {
  need_python
  run 0 -np 2 "$llep" run "${shape[@]}" -t 2,3 --iters 4 --trials 3 --check all \
    --json r.json --samples s.csv
  valid r.json
  [ "$(grep -c ' ok$' out)" -eq 4 ] || fail "not 4 rows of the table"
  says out '3 trials of 4 iterations'
  # Each trial begins with another case.
  says err '^llep: trial 1 of 3, .* T2$' '^llep: trial 2 of 3, .* T3$' '^llep: trial 3 of 3, .* T2$'
  json 'd["complete"] and len(d["benchmarks"]) == 4'
  json 'all(b["correctness"] == {"passed": True, "checked_iterations": 12} and
            len(b["samples_us"]) == 12 and sum(b["slowest_counts"]) == 12 and
            sum(b["histogram_us"]["counts"]) == 12 and
            b["trial_p50_us"] == [sorted(b["samples_us"][i:i + 4])[1] for i in (0, 4, 8)]
            for b in d["benchmarks"])'
  # The file of samples has what the cross-rank maxima are of.
  json '(lambda rows: len(rows) == 4 * 3 * 4 * 2 and
         [max(float(r["us"]) for r in rows if (r["name"], r["trial"], r["iteration"]) ==
              (b["name"], str(t), str(i))) for b in d["benchmarks"] for t in range(3) for i in range(4)]
         == [us for b in d["benchmarks"] for us in b["samples_us"]]
        )(list(__import__("csv").DictReader(open("s.csv"))))'
  rm r.json
  run 0 -np 2 "$llep" run "${shape[@]}" -t 2 --iters 2 --warmup 0 --flush-l2 --json r.json
  json 'all(b["config"]["flush_l2"] and b["correctness"]["passed"] for b in d["benchmarks"])'
  rm r.json
  complains 2 '--flush-l2: between the ops of a chain there is no flush; ' -np 2 "$llep" run \
    "${small[@]}" --json r.json --flush-l2 --mode paired,chained
  complains 2 'rank 0: samples file /no/such/s.csv: No such file or directory$' -np 2 "$llep" run \
    "${small[@]}" --json r.json --samples /no/such/s.csv
}

gates() {
  need_python
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --max-latency-us dispatch:p50:1e9,combine:max:1e9 \
    --min-bw combine:1e-9
  says out '^gate max-latency-us dispatch:p50:1000000000: reached: [0-9.]+ in dispatch/'
  json '[g["passed"] for g in d["gates"]] == [True, True, True] and d["complete"]'
  run 6 -np 2 "$llep" run "${shape[@]}" -t 2,4 --json r.json --max-latency-us combine:avg:0.001 \
    --min-bw dispatch:1e-9
  valid r.json
  says out '^gate max-latency-us combine:avg:0.001: missed: [0-9.]+ in combine/' '^gate min-bw .* reached'
  json '[g["passed"] for g in d["gates"]] == [False, True] and d["complete"] and
        d["gates"][0]["worst"] == max(b["latency_us"]["cross_rank_max"]["avg"]
                                      for b in d["benchmarks"] if b["op"] == "combine")'
  # What was skipped does not pass.
  run 6 -np 2 "$llep" run "${small[@]}" --mode graph --json r.json --max-latency-us combine:p50:1e9
  says out '^gate .*: missed: nothing was measured$'
  run 6 -np 2 "$llep" run "${small[@]}" --mode paired,graph --json r.json \
    --max-latency-us combine:p50:1e9
  valid r.json
  says out '^gate .*: missed: [0-9.]+ in combine/.*/paired/.*; 1 case was not measured$'
  json 'd["gates"][0]["passed"] is False and d["gates"][0]["not_measured"] == 1'
  rm r.json
  complains 2 "--max-latency-us: 'combine:p50' is not OP:STATISTIC:US" -np 2 "$llep" run \
    "${small[@]}" --max-latency-us combine:p50
  complains 2 "'p77' is not one of min, avg" -np 2 "$llep" run "${small[@]}" \
    --max-latency-us combine:p77:1
  complains 2 'dispatch:p99:1 needs 100 samples, --iters and --trials give 5' -np 2 "$llep" run \
    "${small[@]}" --max-latency-us dispatch:p99:1
  complains 2 '--min-bw: pair:1, but --op leaves out pair' -np 2 "$llep" run "${small[@]}" \
    --min-bw pair:1
}

# Devices are released together; who comes late is not the transport's fault.
fresh() {
  need_python
  run 0 -np 3 "$llep" run "${small[@]}" --json r.json --mode fresh --phases fused,split \
    --op dispatch,combine,pair --check all --transport ipc,fifo --verbose
  valid r.json
  says out ', fifo, fresh, uniform routing' 'p50 in us: events [0-9.]+, device clock [0-9.]+; entry skew [0-9.]+ \+- [0-9.]+$'
  json 'd["complete"] and len(d["benchmarks"]) == 2 * 2 * 3'
  json 'all(b["correctness"] == {"passed": True, "checked_iterations": 5} and
            b["name"].split("/")[5] == "fresh" and b["config"]["chain"] == 1 and
            b["entry_skew_us"]["skew"]["samples"] == 5 and
            0 < b["entry_skew_us"]["clock_error"] and b["latency_us"]["wall"] is None
            for b in d["benchmarks"])'
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --mode fresh --op dispatch \
    --inject delay:rank=1,iter=3,op=dispatch,us=300000
  json '(lambda b: b["entry_skew_us"]["skew"]["max"] >= 300000 and
                   b["latency_us"]["device"]["max"] < b["entry_skew_us"]["skew"]["max"]
        )(d["benchmarks"][0])'
  run 0 -np 8 "$llep" run "${shape[@]}" -t 3 --iters 3 --warmup 1 --host-blocks 1 --host-warps 2 \
    --json r.json --mode fresh,chained --op dispatch,combine,pair --check all --transport fifo,hybrid-fifo \
    --ranks-per-node 4
  json 'len(d["benchmarks"]) == 12 and all(b["correctness"]["passed"] for b in d["benchmarks"])'
  # One rank meets nobody.
  run 0 -np 1 "$llep" run "${small[@]}" --json r.json --mode fresh
  json 'all(b["entry_skew_us"]["skew"]["max"] == 0 for b in d["benchmarks"])'
  rm r.json
  complains 2 '--mode fresh: entries are known by the device.s clock; use --device-clock on$' \
    -np 2 "$llep" run "${small[@]}" --mode paired,fresh --device-clock off
}

clocks() {
  need_python
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --mode paired,chained --phases fused,split \
    --op dispatch,combine,pair --samples s.csv
  valid r.json
  # What blocks do lies between the marks, and those between what the host calls.
  json 'all(0 < l["device"]["min"] and l["device"]["max"] <= l["cross_rank_max"]["max"] <= l["wall"]["max"]
            for l in (b["latency_us"] for b in d["benchmarks"]))'
  json 'all(float(r["device_us"]) <= float(r["us"]) <= float(r["wall_us"])
            for r in __import__("csv").DictReader(open("s.csv")))'
  json 'all(b["entry_skew_us"] is None and b["overlap"] is None for b in d["benchmarks"])'
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --device-clock off --samples s.csv --verbose
  valid r.json
  json 'all(b["latency_us"]["device"] is None and not b["config"]["device_clock"]
            for b in d["benchmarks"])'
  grep -Eq '",0,0,0,[0-9.]+,,[0-9.]+.$' s.csv || fail "s.csv: no empty column"
}

overlap() {
  need_python
  run 0 -np 2 "$llep" run "${small[@]}" --json r.json --phases fused,split --mode paired,fresh \
    --overlap-us 200 --check all
  valid r.json
  says out 'dispatch: 200 us of compute hide [0-9]+ % of the receive half' '^  combine: 200 us'
  json 'all((b["overlap"] is None) == (b["config"]["phases"] == "fused") and b["correctness"]["passed"]
            for b in d["benchmarks"])'
  json 'all(o["compute_us"] == 200 and o["receive"]["samples"] == o["exposed"]["samples"] == 5 and
            abs(o["hidden"] - 1 + o["exposed"]["p50"] / o["receive"]["p50"]) < 1e-9
            for o in (b["overlap"] for b in d["benchmarks"]) if o)'
  rm r.json
  complains 2 '--overlap-us: there is nothing between the halves' -np 2 "$llep" run "${small[@]}" \
    --overlap-us 10
  complains 2 "--overlap-us: '-1' is not a number from 0 to 1000000" -np 2 "$llep" run "${small[@]}" \
    --phases split --overlap-us -1
}
