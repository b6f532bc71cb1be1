#!/usr/bin/env bash
# Two ranks on one GPU through `traceana capture`, for each backend: a run of single calls and one of CUDA graphs.
# Usage: run_capture.sh OUTPUT, with traceana importable by the python that PYTHON names; BACKENDS="torch pynccl" also
# needs sglang, whose PyNccl it runs. torch.distributed's graphs may hang at their end on one GPU: they get 60 s.
set -u
output=$1 here=$(dirname "$0") python=${PYTHON:-python3} status=0
for backend in ${BACKENDS:-torch}; do
  "$python" -m traceana capture -o "$output" --label "$backend-2r" --timeout 120 --force -- \
    "$python" "$here/../ulysses_block.py" --device cuda --one-gpu --world 2 --steps 4 --backend "$backend" || status=1
  "$python" -m traceana capture -o "$output" --label "$backend-2r-graph" --timeout 60 --force -- \
    "$python" "$here/graph_block.py" "$backend" || status=1
  for run in "$backend-2r" "$backend-2r-graph"; do
    "$python" "$here/sizes.py" "$output/$run" || status=1
  done
done
exit $status
