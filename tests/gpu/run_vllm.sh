#!/usr/bin/env bash
# vLLM 0.33's own communicators under capture, on two GPUs, for each backend: what the traces say of each call.
# Usage: OUTPUT=FOLDER run_vllm.sh, with traceana, vLLM's Python files and its compiled custom all-reduce importable by
# the python that PYTHON names. No backend begins after LIMIT seconds. On a machine without GPUs only what is noted of
# each call is printed, with FLASHINFER=1 also of FlashInfer's all-reduces. Each line that begins with PASS or FAIL is a
# claim that was tried. `torch` fails: by c10d vLLM sends several tensors one by one, and of parts that differ torch itself
# tells the size of as many like its own.
set -u
here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3} limit=${LIMIT:-3600} status=0 port=29700
export VLLM_LOGGING_LEVEL=${VLLM_LOGGING_LEVEL:-WARNING} VLLM_NO_USAGE_STATS=1 TORCHDYNAMO_DISABLE=1
mkdir -p "$OUTPUT"

backend() { # NAME
  local said=$OUTPUT/said-$1 log=$OUTPUT/$1.log
  echo "---- $1 at ${SECONDS} s"
  SAID=$said MASTER_PORT=$((port += 1)) timeout -k 5 70 "$python" -m traceana capture -o "$OUTPUT/traces" --force \
    --label "$1" --backend "$1" --duration 60 --timeout 60 -- "$python" "$here/vllm_block.py" 3 >"$log" 2>&1
  local code=$?
  grep -h -i -E "traceana: |error|warn" "$log" | cut -c 1-240 | sort | uniq -c | sort -rn | head -n 12
  "$python" - "$OUTPUT/traces/$1/run.json" <<'P'
import json, sys
print("backend", json.load(open(sys.argv[1]))["backend"])
P
  "$python" "$here/check_vllm.py" "$OUTPUT/traces/$1" "$said" || code=1
  if ((code)); then echo "FAIL: $1 (${SECONDS} s)"; tail -n 8 "$log"; status=1; else echo "PASS: $1 (${SECONDS} s)"; fi
}

for one in ${BACKENDS:-asis torch pynccl custom symm_mem}; do
  if ((SECONDS >= limit - 20)); then echo "$one: left out, because $limit s are nearly over"; continue; fi
  [ "$one" != symm_mem ] || export SYMMETRIC=1
  backend "$one"
done
exit $status
