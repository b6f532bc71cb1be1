#!/usr/bin/env bash
# `traceana bench` on two GPUs beside nccl-tests' own times, and twice over, whose verdicts must agree.
# Usage: run_bench.sh OUTPUT, with traceana importable by the python that PYTHON names. NCCL_TESTS names the folder of
# nccl-tests' programs built with MPI=1, MPIRUN what starts two of them (a process a GPU, as torch's ranks are).
# BACKENDS limits the second part; BESIDE=0 leaves the first part out, TWICE=0 the second, GRAPHS=1 adds what calls in a
# CUDA graph cost by how the graph is made and replayed.
set -u
output=$1 here=$(dirname "$0") python=${PYTHON:-python3} mpirun=${MPIRUN:-mpirun -n 2} status=0
mkdir -p "$output"
declare -A programs=(
  [all_reduce]=all_reduce [all_gather]=all_gather [reduce_scatter]=reduce_scatter [all_to_all]=alltoall
  [send_recv]=sendrecv
)
sizes=(-b 1K -e 256M -f 4)

failed() { # STEP LOG
  echo "FAILED: $1"
  tail -n 20 "$2"
  status=1
}

if [ "${BESIDE:-1}" -gt 0 ]; then
  for op in "${!programs[@]}"; do
    for graph in 0 1; do
      file=$output/nccl-$op-graph$graph
      rm -f "$file.json"
      # The largest size makes it move through as much memory as a bench. A graph has as many calls and is replayed 20
      # times, with buffers that NCCL does not register, as torch's are not.
      calls=(-n 200 -G 0)
      [ "$graph" = 0 ] || calls=(-n 50 -G 20)
      NCCL_GRAPH_REGISTER=0 timeout 60 $mpirun "$NCCL_TESTS/${programs[$op]}_perf" -g 1 "${sizes[@]}" -d bfloat16 -w 20 \
        "${calls[@]}" -J "$file.json" >"$file.txt" 2>&1 || failed "nccl-tests $op" "$file.txt"
    done
  done
  ops=$(IFS=,; echo "${!programs[*]}")
  timeout 240 "$python" -m traceana bench --ranks 2 --op "$ops" "${sizes[@]}" --backend torch,pynccl \
    -o "$output/bench.json" >"$output/bench.txt" 2>"$output/bench.log" || failed "bench" "$output/bench.log"
  "$python" "$here/check_bench.py" beside "$output" || status=1
fi

if [ "${TWICE:-1}" -gt 0 ]; then
  for turn in 1 2; do
    timeout 200 "$python" -m traceana bench --ranks 2 --op all_reduce,all_to_all -b 1K -e 64M -f 4 --seed "$turn" \
      ${BACKENDS:+--backend "$BACKENDS"} -o "$output/twice-$turn.json" >"$output/twice-$turn.txt" \
      2>"$output/twice-$turn.log" || failed "bench, turn $turn" "$output/twice-$turn.log"
  done
  "$python" "$here/check_bench.py" twice "$output" || status=1
fi

if [ "${GRAPHS:-0}" -gt 0 ]; then
  # torch asks for the priority of nodes where nccl-tests does not; what the environment says counts for both.
  for setting in NONE=1 CUDA_GRAPHS_USE_NODE_PRIORITY={0,1} NCCL_GRAPH_MIXING_SUPPORT=0 NCCL_GRAPH_REGISTER=0; do
    echo "== $setting"
    for replays in 0 1 20; do
      file=$output/graphs-$setting-$replays.txt
      env "$setting" timeout 30 $mpirun "$NCCL_TESTS/all_reduce_perf" -g 1 "${sizes[@]}" -d bfloat16 -n 50 -w 20 \
        -G $replays >"$file" 2>&1 || failed "nccl-tests with $setting" "$file"
      awk -v replays=$replays '$3 == "bfloat16" && $1 ~ /^(1024|1048576|16777216)$/ {
        printf "%9d nccl-tests -G %d: %.2f µs a call, in place %.2f µs\n", $1, replays, $6, $10
      }' "$file"
    done
    env "$setting" timeout 60 "$python" -m torch.distributed.run --nproc-per-node 2 "$here/graph_variants.py" \
      2>"$output/graphs-$setting.log" || failed "graphs with $setting" "$output/graphs-$setting.log"
  done
fi
exit $status
