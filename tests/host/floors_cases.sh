# SPDX-License-Identifier: MIT
# shellcheck shell=bash disable=SC2154
# Cases of tests/host/program_test.sh: llep floors, and what llep run makes of floors.

floors() {
  need_python
  run 0 -np 2 "$llep" floors --device host --transport ipc,fifo --sizes 8,16,4K,64K --iters 2 \
    --json r.json
  says out '^host executor \(timings are not GPU timings\), 2 ranks on 1 node, ipc, 2 samples' \
    '^flag +0 <-> 1 ' '^put_stream +all +65536 .* ok$' '^fifo_rate +512 +1 +8 +128 ' \
    '^results: r.json$'
  [ "$(awk '{ if (length($0) > 120) n++ } END { print n + 0 }' out)" -eq 0 ] ||
    fail "lines of more than 120 columns"
  valid floors.schema.json r.json
  json 'd["kind"] == "floors" and d["complete"] and d["errors"] == []'
  json 'all(f["status"] == "ok" and f["samples"] == 2 and f["rounds"] > 1 and
            f["verified"] is (True if f["probe"] == "exchange" or
                              f["probe"].startswith("put_") and f["bytes"] > 8 else None)
            for f in d["floors"])'
  json 'len({f["name"] for f in d["floors"]}) == len(d["floors"]) == 2 * (1 + 3 * 4 + 3) + 2 * 5 + 2'
  json '[f["name"] for f in d["floors"] if f["transport"] == "local"] ==
        ["empty_launch/local/R2/all", "local_copy/local/R2/all/67108864"]'
  json '[(f["name"], f["warps"]) for f in d["floors"] if f["probe"] == "exchange"] ==
        [(f"exchange/{t}/R2/all/16384/w{w}", w) for t in ("ipc", "fifo") for w in (1, 4, 8)]'
  json 'all((f["us_min"] is None) != (f["per_second_max"] is None) for f in d["floors"])'
  json 'd["context"]["arguments"]["sizes"] == ["8", "16", "4K", "64K"]'
  # A list goes on without what cannot be had; alone it ends the command.
  run 0 -np 3 "$llep" floors --device host --transport ipc,hybrid-fifo --ranks-per-node 2 \
    --sizes 8 --iters 1 --json r.json
  valid floors.schema.json r.json
  json '[f["transport"] for f in d["floors"] if f["status"] == "skipped"] == ["ipc"]'
  json '{(f["from"], f["to"]) for f in d["floors"] if f["probe"] == "put_latency"} == {(0, 1), (0, 2)}'
  rm r.json
  complains 5 'transport ipc: the ranks run on 2 nodes' -np 2 "$llep" floors --device host \
    --transport ipc --ranks-per-node 1 --json r.json
  complains 2 '--sizes: ' -np 2 "$llep" floors --sizes 12 --json r.json
  complains 2 'rank 1 was given another command' -np 1 "$llep" floors --device host : \
    -np 1 "$llep" run --device host
}

# Of three ranks, of ipc and then of fifo: flags, streams of 4096 bytes.
matrices_hold_the_files_numbers() {
  python3 - <<'END'
import json, re
rows = [line.split()[1:] for line in open("out") if re.match(r"^ +[0-2]( +([0-9.]+|-)){3}$", line)]
seen = [None if cell == "-" else float(cell) for row in rows for cell in row]
best = {(f["transport"], f["probe"], f["from"], f["to"]): f["us_min"] or f["gbps_max"]
        for f in json.load(open("r.json"))["floors"]
        if f["to"] is not None and (f["probe"] == "flag" or f["bytes"] == 4096)}
want = [best.get((transport, probe, a, b)) or best.get((transport, probe, b, a))
        for transport in ("ipc", "fifo") for probe in ("flag", "put_stream")
        for a in range(3) for b in range(3)]
assert len(seen) == len(want)
for cell, value in zip(seen, want):
    assert cell == value if value is None else abs(cell - value) < max(value / 100, 1e-4), (cell, value)
END
}

# Every pair of ranks: as a matrix for people, as entries for programs.
pairs() {
  need_python
  run 0 -np 3 "$llep" floors --device host --transport ipc,fifo --fifo-wire mpi --pairs \
    --sizes 8,4K,2M --iters 1 --json r.json
  valid floors.schema.json r.json
  json 'd["complete"] and d["errors"] == [] and d["context"]["arguments"]["pairs"] is True'
  json 'all(sorted((f["from"], f["to"]) for f in d["floors"]
                   if f["transport"] == t and f["probe"] == "flag") == [(0, 1), (0, 2), (1, 2)] and
            sorted((f["from"], f["to"]) for f in d["floors"] if f["transport"] == t and
                   f["probe"] == "put_stream" and f["bytes"] == 4096 and f["to"] is not None) ==
            [(a, b) for a in range(3) for b in range(3) if a != b] for t in ("ipc", "fifo"))'
  json 'all(f["verified"] for f in d["floors"] if f["probe"] == "put_stream" and f["bytes"] > 8)'
  local n=' +[0-9.]+' row
  for row in ' +from +to 0 +to 1 +to 2' " +0 +-$n$n" " +1$n +-$n" " +2$n$n +-"; do
    [ "$(grep -Ec "^$row$" out)" -eq 4 ] || fail "not in two matrices a transport: '$row'"
  done
  says out '^flag, us one way, the best of 1 samples$' '^put_stream, 4096 bytes, GB/s, '
  matrices_hold_the_files_numbers || fail "a matrix says something else than r.json"
  # The flags' own lines are the matrix; other sizes keep theirs.
  ! grep -Eq '^flag +0 <->' out || fail "flags are told twice"
  says out '^put_stream +0 -> 1 +2097152 '
  run 0 -np 1 "$llep" floors --device host --transport ipc --pairs --sizes 8 --iters 1 --json r.json
  says out '^no pairs: there is one rank$'
}

# host_us is what the formula makes of the numbers beside it, and the ratio is the median over it.
adds_up() {
  json 'all(abs(eval(b["floor"]["formula"], dict(b["floor"])) / b["floor"]["host_us"] - 1) < 1e-9
            for b in d["benchmarks"] if b["floor"])'
  json 'all(abs(b["device_floor_ratio"] * b["floor"]["device_us"] / b["latency_us"]["device"]["p50"] - 1)
            < 1e-9 for b in d["benchmarks"] if b["floor"])'
  json 'all(abs(b["floor_ratio"] * b["floor"]["host_us"] / b["latency_us"]["cross_rank_max"]["p50"] - 1)
            < 1e-9 for b in d["benchmarks"] if b["floor"])'
}

floors_file() {
  need_python
  run 0 -np 2 "$llep" floors --device host --transport ipc --sizes 16K --iters 2 --json floors.txt
  run 0 -np 2 "$llep" run "${small[@]}" --op dispatch,combine,pair --transport ipc,fifo \
    --floors floors.txt --json r.json
  valid r.json
  says out '^  combine: [0-9.]+ x its floor of [0-9.]+ us, limited by [a-z]+; device clock [0-9.]+ x [0-9.]+ us$'
  json 'all((b["floor"] is None) == (b["transport"] == "fifo") for b in d["benchmarks"])'
  json 'all(b["floor"]["source"] == "floors.txt" for b in d["benchmarks"] if b["floor"])'
  # The best exchange of the file.
  json '{b["floor"]["exchange_us"] for b in d["benchmarks"] if b["floor"]} ==
        {min(f["us_min"] for f in json.load(open("floors.txt"))["floors"]
             if f["probe"] == "exchange")}'
  adds_up
  rm r.json
  complains 2 'results file floors.txt: world_size is 2 there, 3 in this run' -np 3 "$llep" run \
    --device host -t 4 -d 256 -k 2 -e 6 --floors floors.txt --json r.json
  # Rows go another way than those of the floors.
  run 0 -np 2 "$llep" floors --device host --transport fifo --fifo-wire mpi --sizes 16K --iters 1 \
    --json floors.txt
  run 0 -np 2 "$llep" run "${small[@]}" --transport fifo --fifo-wire mpi --floors floors.txt \
    --json r.json
  json 'all(b["floor"] for b in d["benchmarks"])'
  rm r.json
  sed -i s/fifo-mpi/fifo-verbs/ floors.txt
  complains 2 '--floors floors.txt: transport fifo is "fifo-verbs" there, "fifo-mpi" in this run$' \
    -np 2 "$llep" run "${small[@]}" --transport ipc,fifo --fifo-wire mpi --floors floors.txt \
    --json r.json
  complains 2 'results file ./measure: ' -np 2 "$llep" run "${small[@]}" --floors ./measure \
    --json r.json
}

# configs/floors.json, but few and small messages.
floors_config() {
  need_python
  run 0 -np 2 "$llep" floors --config "$source_dir/configs/floors.json" --device host \
    --sizes 8,4K --iters 1 --json r.json
  json 'd["complete"] and d["context"]["arguments"]["transport"] == ["auto"]'
}

# A run that measures its own floors: of each transport and kind of signal that can be had.
floors_measure() {
  need_python
  run 0 -np 4 "$llep" run "${small[@]}" --op dispatch,combine,pair --phases fused,split \
    --transport ipc,fifo,hybrid-fifo --fifo-wire mpi --ranks-per-node 2 --check all \
    --floors measure --anonymous --json r.json
  valid r.json
  says out '^symmetric heap: .* per rank, to measure floors$' '^floors of fifo: put [0-9.]+ GB/s ' \
    '^floors of hybrid-fifo: put ' '^  pair: [0-9.]+ x its floor of '
  ! grep -q '^floors of ipc' out || fail "ipc cannot be had"
  json 'd["complete"] and len(d["benchmarks"]) == 3 * 2 * 3 and all(
          (b["status"], b["floor"] is None) == (("skipped", True) if b["transport"] == "ipc" else
                                                ("ok", False)) for b in d["benchmarks"])'
  json 'all(b["correctness"]["passed"] is True for b in d["benchmarks"] if b["floor"])'
  json '{b["floor"]["source"] for b in d["benchmarks"] if b["floor"]} == {"measured"}'
  json 'd["context"]["arguments"]["floors"] == "measure"'
  json 'len({(b["transport"], b["floor"]["put_gbps"]) for b in d["benchmarks"] if b["floor"]}) == 2'
  adds_up
  # One rank has nothing to compare with, and says so.
  run 0 -np 1 "$llep" run "${small[@]}" --transport ipc --floors measure --json r.json
  says out '^no floors: one rank sends nothing$'
  json 'all(b["status"] == "ok" and b["floor"] is None for b in d["benchmarks"])'
}
