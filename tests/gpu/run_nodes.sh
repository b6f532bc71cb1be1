#!/usr/bin/env bash
# Four ranks on two GPUs, as two nodes that both have these GPUs (two_nodes.sh): a bench beside nccl-tests, a late rank
# that has to be named with its reason, and what capture costs.
# Usage: run_nodes.sh OUTPUT [bench|late|cost …], with traceana importable by the python that PYTHON names. NCCL_TESTS
# names the folder of nccl-tests' programs built with MPI=1, MPIRUN what starts four of them.
set -u
output=$1 here=$(cd "$(dirname "$0")" && pwd) status=0
shift
export PYTHON=${PYTHON:-python3}
mpirun=${MPIRUN:-mpirun -n 4}
mkdir -p "$output"
declare -A programs=([all_reduce]=all_reduce [all_gather]=all_gather [reduce_scatter]=reduce_scatter [all_to_all]=alltoall)
sizes=(-b 1M -e 16M -f 4)

failed() { # STEP LOG
  echo "FAILED: $1"
  tail -n 20 "$2"
  status=1
}

bench() {
  local op file
  for op in "${!programs[@]}"; do
    file=$output/nccl-$op-graph0
    # The largest size makes it move through as much memory as a bench.
    timeout 60 $mpirun bash "$here/two_nodes.sh" --mpi "$NCCL_TESTS/${programs[$op]}_perf" -g 1 "${sizes[@]}" -d bfloat16 \
      -w 10 -n 100 -J "$file.json" >"$file.txt" 2>&1 || failed "nccl-tests $op" "$file.txt"
  done
  timeout 150 bash "$here/two_nodes.sh" -m traceana bench --op "$(IFS=,; echo "${!programs[*]}")" "${sizes[@]}" \
    --graphs off --backend torch,pynccl -o "$output/bench.json" >"$output/bench.txt" 2>"$output/bench.log" ||
    failed "bench" "$output/bench.log"
  "$PYTHON" "$here/check_bench.py" beside "$output" || status=1
}

late() {
  timeout 90 "$PYTHON" -m traceana capture -o "$output" --label late --force -- \
    bash "$here/two_nodes.sh" "$here/late_rank.py" "$output/spins" 3 4 >"$output/late.log" 2>&1 || failed late "$output/late.log"
  "$PYTHON" -m traceana analyze "$output/late" -o "$output/late-report" || status=1
  "$PYTHON" "$here/check_late.py" "$output/late" "$output/spins/spin.json" 3 || status=1
}

cost() {
  (cd "$here/../.." && timeout 170 "$PYTHON" -m tests.bench.capture_overhead --device cuda --ranks 4 --repeats 2) ||
    { echo "FAILED: cost"; status=1; }
}

for what in ${@:-bench late cost}; do "$what"; done
exit $status
