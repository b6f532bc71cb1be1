#!/usr/bin/env bash
# `traceana bench` on two GPUs beside nccl-tests' own times, and twice over, whose verdicts must agree.
# Usage: run_bench.sh OUTPUT, with traceana importable by the python that PYTHON names. NCCL_TESTS names the folder of
# nccl-tests' programs built with MPI=1, MPIRUN what starts two of them (a process a GPU, as torch's ranks are).
# BACKENDS limits the second part; TWICE=0 leaves it out.
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

for op in "${!programs[@]}"; do
  for graph in 0 1; do
    file=$output/nccl-$op-graph$graph
    rm -f "$file.json"
    # As many warm-ups and calls as a bench has; the largest size makes it move through as much memory.
    timeout 60 $mpirun "$NCCL_TESTS/${programs[$op]}_perf" -g 1 "${sizes[@]}" -d bfloat16 -n 50 -w 20 -G "$graph" \
      -J "$file.json" >"$file.txt" 2>&1 || failed "nccl-tests $op" "$file.txt"
  done
done
ops=$(IFS=,; echo "${!programs[*]}")
timeout 240 "$python" -m traceana bench --ranks 2 --op "$ops" "${sizes[@]}" --backend torch,pynccl \
  -o "$output/bench.json" >"$output/bench.txt" 2>"$output/bench.log" || failed "bench" "$output/bench.log"
"$python" "$here/check_bench.py" beside "$output" || status=1

if [ "${TWICE:-1}" -gt 0 ]; then
  for turn in 1 2; do
    timeout 200 "$python" -m traceana bench --ranks 2 --op all_reduce,all_to_all -b 1K -e 64M -f 4 --seed "$turn" \
      ${BACKENDS:+--backend "$BACKENDS"} -o "$output/twice-$turn.json" >"$output/twice-$turn.txt" \
      2>"$output/twice-$turn.log" || failed "bench, turn $turn" "$output/twice-$turn.log"
  done
  "$python" "$here/check_bench.py" twice "$output" || status=1
fi
exit $status
