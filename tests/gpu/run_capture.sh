#!/usr/bin/env bash
# Two ranks through `traceana capture`, on two GPUs or both on one. For each backend a run of single calls and one of
# CUDA graphs; on two GPUs also what neither c10d nor NCCL carries.
# Usage: run_capture.sh OUTPUT, with traceana importable by the python that PYTHON names. BACKENDS="torch pynccl" also
# needs sglang, whose PyNccl and custom all-reduce it runs. torch.distributed's graphs may hang at their end on one GPU:
# they get 60 s.
set -u
output=$1 here=$(dirname "$0") python=${PYTHON:-python3} status=0
one_gpu=$("$python" -c 'import torch; print("" if torch.cuda.device_count() > 1 else "--one-gpu")')

captured() { # LABEL SECONDS COMMAND...
  local label=$1 seconds=$2
  shift 2
  "$python" -m traceana capture -o "$output" --label "$label" --timeout "$seconds" --duration "$seconds" --force -- \
    "$python" "$@" || status=1
  "$python" "$here/sizes.py" "$output/$label" || status=1
}

for backend in ${BACKENDS:-torch}; do
  captured "$backend-2r" 120 "$here/../ulysses_block.py" --device cuda $one_gpu --world 2 --steps 4 --backend "$backend"
  captured "$backend-2r-graph" 60 "$here/graph_block.py" "$backend"
done
if [ -z "$one_gpu" ]; then
  captured symmetric-2r 240 "$here/direct_block.py" symmetric
  [[ ${BACKENDS:-} != *pynccl* ]] || captured custom-2r 240 "$here/direct_block.py" custom
fi
exit $status
