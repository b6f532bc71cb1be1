#!/usr/bin/env bash
# Two GPUs: a sweep over what carries the collectives, NCCL's presets and CUDA graphs, and a search that has to find its
# way out of an environment that was spoilt on purpose.
# Usage: run_sweep.sh OUTPUT [sweep|tune], with traceana importable by the python that PYTHON names.
set -u
output=$1 what=${2:-all} here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3} status=0
job=("$python" "$here/sweep_block.py" ${JOB_OPTIONS:-})

if [[ $what != tune ]]; then
  "$python" -m traceana sweep -o "$output/sweep" --axis carrier=torch,direct --axis nccl=plain,no-p2p \
    --axis graphs=,--graphs --gpus 2 --repeats 3 --metric 'output:a step took' --timeout 60s \
    ${SWEEP_OPTIONS:-} -- "${job[@]}" --carrier {carrier} {graphs} --out {out} || status=1
fi
if [[ $what != sweep ]]; then
  NCCL_P2P_DISABLE=1 NCCL_MAX_CTAS=1 "$python" -m traceana tune -o "$output/tune" \
    --axis env.NCCL_P2P_DISABLE=unset --axis env.NCCL_MAX_CTAS=unset --axis env.NCCL_BUFFSIZE=1048576 --gpus 2 \
    --repeats 4 --metric 'output:a step took' --timeout 60s ${TUNE_OPTIONS:-} -- "${job[@]}" --out {out} || status=1
fi
exit $status
