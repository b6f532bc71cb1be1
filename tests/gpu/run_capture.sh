#!/usr/bin/env bash
# Two ranks on one GPU through `traceana capture`; torch always, PyNccl where sglang's diffusion package is installed.
# Usage: run_capture.sh OUTPUT, with traceana installed in the python that PYTHON names.
set -u
output=$1 here=$(dirname "$0") python=${PYTHON:-python3} status=0
for backend in torch pynccl; do
  timeout 150 "$python" -m traceana capture -o "$output" --label "$backend" --timeout 120 --force -- \
    "$python" "$here/../ulysses_block.py" --device cuda --one-gpu --world 2 --steps 4 --backend "$backend" || status=1
  "$python" "$here/sizes.py" "$output/$backend" || status=1
done
exit $status
