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

late() { # with a GPU each, and on GPUs that two ranks share: there a spin holds up the neighbour's kernels too, and more
  local ranks near start
  for ranks in 2 4; do
    [ $ranks = 2 ] && near=0.05 start=("$PYTHON" -m torch.distributed.run --nproc-per-node 2)
    [ $ranks = 4 ] && near=0.5 start=(bash "$here/two_nodes.sh")
    timeout 90 "$PYTHON" -m traceana capture -o "$output" --label late-$ranks --force -- \
      "${start[@]}" "$here/late_rank.py" "$output/spins-$ranks" $((ranks - 1)) 4 >"$output/late-$ranks.log" 2>&1 ||
      failed "late, $ranks ranks" "$output/late-$ranks.log"
    "$PYTHON" -m traceana analyze "$output/late-$ranks" -o "$output/late-$ranks-report" || status=1
    "$PYTHON" "$here/check_late.py" "$output/late-$ranks" "$output/spins-$ranks/spin.json" $((ranks - 1)) $near || status=1
  done
}

cost() {
  (cd "$here/../.." && timeout 170 "$PYTHON" -m tests.bench.capture_overhead --device cuda --ranks 4 --repeats 2) ||
    { echo "FAILED: cost"; status=1; }
}

for what in ${@:-bench late cost}; do "$what"; done
exit $status
