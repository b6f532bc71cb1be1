#!/usr/bin/env bash
# The runs of docs/example-sweep.html: Wan on two GPUs, Ulysses or ring attention, with torch.distributed and with PyNccl.
# Usage: run_usp.sh OUTPUT, with traceana and sglang 0.5.23 importable by the python that PYTHON names. Model and kernels
# are those of run_sglang.sh; MODEL, REPEATS and REQUEST as there. The same command again goes on where it was. Then
# `python -m tests.example_sweep OUTPUT/sweep` makes the example anew.
set -u
output=$1 here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3}
model=${MODEL:-$output/model} request=${REQUEST:---height 480 --width 832 --num-frames 33}
mkdir -p "$output/bin"
export HF_HUB_OFFLINE=1 TORCHDYNAMO_DISABLE=1 SGLANG_PERF_LOG_DIR="$output" SGLANG_CACHE_DIR="$output/cache"

"$python" -c 'import sgl_kernel' 2>/dev/null || export PYTHONPATH="$here/sglang_native${PYTHONPATH:+:$PYTHONPATH}"
if [ ! -e "$model/model_index.json" ]; then
  "$python" "$here/wan_random.py" "$model" >"$output/model.log" 2>&1 || { tail -n 20 "$output/model.log"; exit 1; }
fi
# The plan's command is sglang's own script, which need not be on PATH.
printf '#!/usr/bin/env bash\nexec %q %q "$@"\n' "$python" "$here/sglang_cli.py" >"$output/bin/sglang"
chmod +x "$output/bin/sglang"
PATH="$output/bin:$PATH" "$python" -m traceana sweep wan-usp -o "$output/sweep" --set "model=$model" --set gpus=2 \
  --set steps=8 --axis ulysses=1,2 --axis ring=1,2 --axis backend=torch,pynccl \
  --baseline ulysses=2,ring=1,backend=torch --repeats "${REPEATS:-3}" --timeout 150s \
  --capture '--warmup 2 --steps 3' -- --model-id Wan2.1-T2V-1.3B-Diffusers --no-save-output --attention-backend fa \
  --dit-cpu-offload false --dit-layerwise-offload false --text-encoder-cpu-offload false --vae-cpu-offload false $request
