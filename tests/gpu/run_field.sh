#!/usr/bin/env bash
# What training programs issue, counted by the program and by traceana, on two ranks; then eight runs of one setting,
# compared in all 35 halves, where no difference is to be seen.
# Usage: run_field.sh OUTPUT, with traceana importable by the python that PYTHON names; on CPUs without two GPUs.
# RUNS=0 leaves the eight runs out. All logs are in OUTPUT.
set -u
output=$1 here=$(dirname "$0") python=${PYTHON:-python3} runs=${RUNS:-8} status=0
mkdir -p "$output"
device=$("$python" -c 'import torch; print("cuda" if torch.cuda.device_count() > 1 else "cpu")')

failed() { # STEP LOG
  echo "FAILED: $1"
  tail -n 20 "$2"
  status=1
}

if OMP_NUM_THREADS=1 timeout 150 "$python" -m torch.distributed.run --nproc-per-node 2 "$here/field_block.py" \
  "$output/field" "${STEPS:-4}" >"$output/field.log" 2>&1; then
  "$python" "$here/check_field.py" "$output/field" 2>"$output/check.log" || failed "counts and sizes" "$output/check.log"
else
  failed "field_block.py" "$output/field.log"
fi

if [ "$runs" -gt 0 ]; then
  for number in $(seq "$runs"); do
    timeout 60 "$python" -m traceana capture -o "$output/same" --label "same.$number" --timeout 50 --force -- \
      "$python" "$here/../ulysses_block.py" --world 2 --device "$device" --steps "${AA_STEPS:-30}" \
      >"$output/same.$number.log" 2>&1 || failed "run $number" "$output/same.$number.log"
  done
  "$python" "$here/relabel.py" "$output/same" 2>"$output/relabel.log" || failed "equal runs" "$output/relabel.log"
fi
exit $status
