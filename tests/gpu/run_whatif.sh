#!/usr/bin/env bash
# Predicts the step of a program with NCCL_P2P_DISABLE=1 from runs without it and what traceana bench measures with it,
# and the step of a program without its late rank from a run with it, then measures them: on two GPUs, at two message sizes, at which the GPUs and not the hosts' launches set the pace: at a
# sequence of 4096 the hosts do, and two runs of one setting took 2.4 and 4.0 ms a step.
# Usage: run_whatif.sh OUTPUT, with traceana importable by the python that PYTHON names. All logs are in OUTPUT.
set -u
output=$1 here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3} status=0
mkdir -p "$output"

failed() { # STEP LOG
  echo "FAILED: $1"
  tail -n 20 "$2"
  status=1
}

for off in 0 1; do
  began=$SECONDS
  NCCL_P2P_DISABLE=$off timeout 100 "$python" -m traceana bench --ranks 2 --backend torch --graphs off --blocks 5 \
    --iterations 10 --op all_reduce,all_gather,all_to_all,broadcast -b 64K -e 128M -f 2 -o "$output/bench.$off.json" \
    >"$output/bench.$off.log" 2>&1 || failed "bench, NCCL_P2P_DISABLE=$off" "$output/bench.$off.log"
  echo "bench, NCCL_P2P_DISABLE=$off: $((SECONDS - began)) s"
done
for run in 16384.1 16384.2 32768.1; do
  seq=${run%.*} number=${run#*.}
  for off in 0 1; do
    label=seq$seq.p2p-disabled-$off.$number
    NCCL_P2P_DISABLE=$off timeout 60 "$python" -m traceana capture -o "$output/runs" --label "$label" --timeout 50 \
      --force -- "$python" "$here/../ulysses_block.py" --world 2 --device cuda --steps 24 --seq "$seq" \
      >"$output/$label.log" 2>&1 || failed "$label" "$output/$label.log"
  done
done
NCCL_P2P_DISABLE=0 timeout 60 "$python" -m traceana capture -o "$output/runs" --label late --timeout 50 --force -- \
  "$python" "$here/../ulysses_block.py" --world 2 --device cuda --steps 24 --seq 16384 --delay-rank 1 --delay-ms 5 \
  >"$output/late.log" 2>&1 || failed "late" "$output/late.log"
"$python" "$here/check_whatif.py" "$output" 2>"$output/check.log" || failed "predictions" "$output/check.log"
exit $status
