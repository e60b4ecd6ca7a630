#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Checks on a machine with GPUs, by hand: builds, then runs the named parts.
#   scripts/gpu_check.sh OUT [part...]
# Parts: tests (the GPU tests), matrix (odd shapes on 1, 2, 4 ... GPUs), sanitize (compute-sanitizer
# on small shapes), soak (10,000 and 200 checked iterations), decode (configs/ll_decode.json): over
# ipc, and as fifo-matrix, fifo-sanitize, fifo-soak, fifo-decode over fifo and hybrid-fifo with the
# wire mpi. twin (ibgda, hybrid-ibgda and the FIFO's wire verbs over the software adapter), share
# (several ranks on a GPU), older (code for sm_80, and none for this GPU), floors (what each transport
# costs alone). Not among those run unasked: ep8 (the published shape on eight ranks, which share GPUs
# where there are fewer; then its times mean nothing). Logs and results go to OUT.
set -uo pipefail
cd "$(dirname "$0")/.."

out=$(mkdir -p "$1" && cd "$1" && pwd)
shift
parts=("${@:-tests matrix sanitize soak share older decode floors
  fifo-matrix fifo-sanitize fifo-soak fifo-decode twin}")
read -ra parts <<<"${parts[*]}"
export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
gpus=$(nvidia-smi -L | wc -l)
counts=(1)
for n in 2 4 8; do [ "$n" -le "$gpus" ] && counts+=("$n"); done
most=${counts[-1]}
mpirun=(mpirun --oversubscribe --bind-to none)
llep=build/release/bin/llep
failed=0

note() { # NAME COMMAND...: one line, the rest in OUT/NAME.log
  local name=$1 begin=$SECONDS
  shift
  if "$@" >"$out/$name.log" 2>&1; then
    echo "ok      $name ($((SECONDS - begin)) s)"
  else
    echo "FAILED  $name (exit $?, $((SECONDS - begin)) s)"
    tail -n 15 "$out/$name.log"
    failed=1
  fi
}

expect() { # CODE COMMAND...
  local want=$1 code=0
  shift
  "$@" || code=$?
  echo "exit code $code, expected $want"
  [ "$code" = "$want" ]
}
older() { # NAME ARCHITECTURES: a build of its own, the program only
  cmake -S . -B "build/$1" -G Ninja -DCMAKE_BUILD_TYPE=Release -DLLEP_CUDA=on -DLLEP_TESTS=off \
    -DCMAKE_CUDA_ARCHITECTURES="$2" && cmake --build "build/$1" -j "$(nproc)"
}

build() { cmake --preset release -DLLEP_CUDA=on && cmake --build --preset release -j "$(nproc)"; }
note build build
[ "$failed" = 0 ] || exit 1

# The parts that run over any transport: NAME-OF-LOGS LEAST-RANKS OPTION-OF-RUN...
matrix() {
  local name=$1 least=$2
  shift 2
  for n in "${counts[@]}"; do
    [ "$n" -lt "$least" ] ||
      note "$name-matrix-$n" tests/matrix.sh "${reduced[@]}" "$llep" "$n" --device cuda "$@"
  done
}
sanitize() {
  local name=$1 least=$2
  shift 2
  for tool in memcheck racecheck; do
    for n in 1 "$most"; do
      [ "$n" -lt "$least" ] || note "$name-$tool-$n" "${mpirun[@]}" -np "$n" compute-sanitizer \
        --tool "$tool" --error-exitcode 99 "$llep" run --device cuda -t 1,6 -d 256 -k 4 \
        --experts-per-rank 4 --dispatch-dtype bf16,fp8 --dispatch-copies rank,selection \
        --phases fused,split --op dispatch,combine,pair --iters 3 --warmup 1 --check all \
        --timeout-ms 300000 --json "$out/$name-$tool-$n.json" "$@"
    done
  done
}
soak() {
  local name=$1
  shift
  note "$name-soak-small" "${mpirun[@]}" -np "$most" "$llep" run --device cuda -t 8 -d 2048 -k 8 \
    -e 256 --iters 10000 --check all --json "$out/$name-soak-small.json" "$@"
  note "$name-soak-large" "${mpirun[@]}" -np "$most" "$llep" run --device cuda -t 128 -d 7168 -k 8 \
    -e 256 --iters 200 --check all --dispatch-dtype bf16,fp8 --json "$out/$name-soak-large.json" \
    "$@"
}
decode() {
  local name=$1
  shift
  note "$name-decode" "${mpirun[@]}" -np "$most" "$llep" run --device cuda \
    --config configs/ll_decode.json --iters 100 --warmup 20 --anonymous \
    --json "$out/$name-decode.json" "$@"
  cat "$out/$name-decode.log"
}

reduced=()
fifo=(--fifo-wire mpi --proxy-threads 2 --qps-per-peer 4)
for part in "${parts[@]}"; do
  case $part in
    tests) note tests ctest --test-dir build/release -L gpu --output-on-failure --no-tests=error ;;
    matrix) matrix ipc 1 ;;
    sanitize) sanitize ipc 1 ;;
    soak) soak ipc ;;
    decode) decode ipc ;;
    fifo-matrix)
      reduced=(--reduced)
      matrix fifo 2 "${fifo[@]}" --transport fifo
      matrix hybrid 2 "${fifo[@]}" --transport hybrid-fifo --ranks-per-node 1
      reduced=()
      ;;
    fifo-sanitize) sanitize fifo 2 "${fifo[@]}" --transport fifo ;;
    fifo-soak) soak fifo "${fifo[@]}" --transport fifo ;;
    fifo-decode) decode fifo "${fifo[@]}" --transport fifo ;;
    twin)
      twin=(--mca btl self,vader env LD_PRELOAD="$PWD/build/release/lib/libsoftmlx5.so")
      over_twin=(--device cuda --ranks-per-node 1 --fifo-wire verbs
        --transport fifo,ibgda,hybrid-ibgda --check all)
      note twin "${mpirun[@]}" -np "$most" "${twin[@]}" "$llep" run "${over_twin[@]}" -t 8,128 \
        -d 7168 -k 8 -e 256 --dispatch-dtype bf16,fp8 --phases fused,split --json "$out/twin.json"
      note twin-soak "${mpirun[@]}" -np "$most" "${twin[@]}" "$llep" run "${over_twin[@]}" -t 8 \
        -d 2048 -k 8 -e 64 --iters 1000 --dispatch-dtype bf16,fp8 --json "$out/twin-soak.json"
      for tool in memcheck racecheck; do  # some calls of CUDA are tried, to see if they succeed
        note "twin-$tool" "${mpirun[@]}" -np "$most" "${twin[@]}" compute-sanitizer \
          --tool "$tool" $([ $tool = racecheck ] || echo --report-api-errors no) \
          --error-exitcode 99 "$llep" run "${over_twin[@]}" -t 1,6 -d 256 -k 4 \
          --experts-per-rank 4 --dispatch-dtype bf16,fp8 --phases fused,split --iters 2 \
          --warmup 1 --timeout-ms 300000 --json "$out/twin-$tool.json"
      done
      ;;
    share)
      small=(run --device cuda -t 6 -d 512 -k 4 --experts-per-rank 4 --dispatch-dtype bf16,fp8
        --iters 3 --warmup 1 --check all --json "$out/share.json")
      note share-2-on-1 env CUDA_VISIBLE_DEVICES=0 "${mpirun[@]}" -np 2 "$llep" "${small[@]}" \
        --share-gpus
      note share-refused expect 2 env CUDA_VISIBLE_DEVICES=0 "${mpirun[@]}" -np 2 "$llep" \
        "${small[@]}"
      ;;
    older)
      note older-build older sm80 80-virtual
      note older-matrix tests/matrix.sh build/sm80/bin/llep "$most" --device cuda
      note older-no-code-build older sm80-real 80-real
      note older-no-code expect 5 build/sm80-real/bin/llep run --device cuda -t 1 -d 128 -k 1 -e 1 \
        --json "$out/no-code.json"
      ;;
    ep8)
      on8=("${mpirun[@]}" -np 8 "$llep")
      of8=(--device cuda --anonymous)
      [ "$gpus" -ge 8 ] || of8+=(--share-gpus)
      note ep8-matrix tests/matrix.sh "$llep" 8 "${of8[@]}"
      note ep8-floors "${on8[@]}" floors "${of8[@]}" --pairs --json "$out/ep8-floors.json"
      for config in modes skew; do
        note "ep8-$config" "${on8[@]}" run "${of8[@]}" --config "configs/$config.json" \
          --floors measure --json "$out/ep8-$config.json"
        cat "$out/ep8-$config.log"
      done
      ;;
    floors)
      note floors "${mpirun[@]}" -np "$most" "$llep" floors --device cuda --transport ipc,fifo \
        --fifo-wire mpi --anonymous --json "$out/floors.json"
      cat "$out/floors.log"
      ;;
    *) echo "unknown part: $part" && exit 2 ;;
  esac
done
exit "$failed"
