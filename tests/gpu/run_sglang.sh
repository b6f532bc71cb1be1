#!/usr/bin/env bash
# The runs of docs/example.html: `sglang generate` on two GPUs, with torch.distributed and with PyNccl in
# turn, under `traceana capture`, and the verdict. The model has random weights and blocks of Wan 2.1 1.3B's size; where
# sglang's compiled kernels are missing, its native paths do their work (sglang_native/), and a line says so.
# Usage: run_sglang.sh OUTPUT, with traceana and sglang 0.5.23 importable by the python that PYTHON names. The same
# command again makes the runs that OUTPUT/traces lacks. REPEATS are the runs of each of SIDES, MODEL is a model to run
# instead, WAN are sizes for wan_random.py, REQUEST options for sglang; no run begins that would likely end after LIMIT
# seconds. Then `python -m tests.example OUTPUT/traces` makes the example anew.
set -u
output=$1 here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3}
model=${MODEL:-$output/model} limit=${LIMIT:-3600} longest=0 status=0
request=${REQUEST:---height 480 --width 832 --num-frames 33 --num-inference-steps 6}
mkdir -p "$output"
export HF_HUB_OFFLINE=1 TORCHDYNAMO_DISABLE=1 SGLANG_PERF_LOG_DIR="$output" SGLANG_CACHE_DIR="$output/cache"

if ! "$python" -c 'import sgl_kernel' 2>/dev/null; then
  echo "sgl_kernel is not installed: sglang's native paths do what its compiled kernels would"
  export PYTHONPATH="$here/sglang_native${PYTHONPATH:+:$PYTHONPATH}"
fi
if [ ! -e "$model/model_index.json" ]; then
  "$python" "$here/wan_random.py" "$model" ${WAN:-} >"$output/model.log" 2>&1 || { tail -n 20 "$output/model.log"; exit 1; }
  echo "model: $SECONDS s"
fi

captured() { # SIDE NUMBER
  local name=$1.$2 began=$SECONDS
  # sglang exits with 0 where the generation failed: what counts is whether each rank recorded its steps.
  if ! "$python" "$here/check_sglang.py" "$output/traces/$name" >/dev/null 2>&1; then
    if ((SECONDS + longest > limit)); then
      echo "$name: not begun, $((limit - SECONDS)) s are left of $limit"
      return 1
    fi
    "$python" -m traceana capture -o "$output/traces" --label "$name" --force --backend "$1" --warmup 2 --steps 3 \
      --duration 60 --timeout "${TIMEOUT:-120}" -- "$python" "$here/sglang_cli.py" generate --model-path "$model" \
      --model-id Wan2.1-T2V-1.3B-Diffusers --num-gpus 2 --ulysses-degree 2 --attention-backend torch_sdpa \
      --dit-cpu-offload false --dit-layerwise-offload false --text-encoder-cpu-offload false --vae-cpu-offload false \
      --prompt "a cat" --no-save-output $request >"$output/$name.log" 2>&1
    "$python" "$here/check_sglang.py" "$output/traces/$name" || { tail -n 40 "$output/$name.log"; return 1; }
    longest=$((SECONDS - began > longest ? SECONDS - began : longest))
    echo "$name: $((SECONDS - began)) s"
  fi
}

for number in $(seq "${REPEATS:-6}"); do
  for side in ${SIDES:-torch pynccl}; do
    captured "$side" "$number" || { status=1; break 2; }
  done
done
"$python" -m traceana compare "$output/traces" --format md || status=1
exit $status
