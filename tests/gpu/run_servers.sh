#!/usr/bin/env bash
# Windows of a program that goes on, blocks of a program's own, backends by name, and pairs of them, on two GPUs with
# NCCL, or on two CPUs with gloo, where only torch.distributed can be chosen.
# Usage: run_servers.sh OUTPUT, with traceana importable by the python that PYTHON names. SGLANG is a PYTHONPATH with
# sglang 0.5.23; without it the backends and pairs are left out. PARTS are what to run of "windows rotation blocks
# symmetric backends pairs", CARRIED the backends, such as "custom/srt ipc/diffusion", and PAIRED the pairs, such as
# "torch,custom/torch,ipc", or "full". Most of their time is sglang's import, so AT_ONCE of them are started together
# and take turns on the GPUs. None begins after LIMIT seconds. Each line that begins with PASS or FAIL is a claim that
# was tried.
set -u
output=$1 here=$(cd "$(dirname "$0")" && pwd) python=${PYTHON:-python3} limit=${LIMIT:-3600} status=0 port=29600
at_once=${AT_ONCE:-3} within=${WITHIN:-180}
mkdir -p "$output"
export TORCHDYNAMO_DISABLE=1 SGLANG_SKIP_P2P_CHECK=1 PYTHONUNBUFFERED=1 GROUPS_TURN=$output/turn
gpus=$("$python" -c 'import torch; print(torch.cuda.device_count())')

ok() { echo "PASS: $1 (${SECONDS} s)"; }
failed() { # CLAIM [LOG]
  echo "FAIL: $1 (${SECONDS} s)"
  [ -z "${2:-}" ] || tail -n 12 "$2"
  status=1
}
claim() { # CLAIM COMMAND...: passes where the command does
  local said=$1
  shift
  if "$@" >"$output/claim.log" 2>&1; then cat "$output/claim.log"; ok "$said"; else failed "$said" "$output/claim.log"; fi
}
within() { # SECONDS COMMAND...: until it succeeds
  local until=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do ((SECONDS < until)) || return 1; sleep 0.2; done
}
window() { "$python" -m traceana window "$@"; }
published() { window status "$1" | grep -q "^window $2: ranks 0–1 published"; }
recording() { window status "$1" | grep -q "^window $2: ranks 0–1 recording"; }
capture() { # LABEL OPTIONS...
  local label=$1
  shift
  "$python" -m traceana capture -o "$output/traces" --force --label "$label" "$@"
}

windows() {
  local run=$output/traces/server stop=$output/stop log=$output/server.log
  rm -f "$stop"
  capture server --duration 1 --timeout 120 -- "$python" -m torch.distributed.run --nproc-per-node 2 \
    --master-port $((port += 1)) "$here/server_block.py" serve "$stop" >"$log" 2>&1 &
  local launcher=$!
  if ! within 60 published "$run" 1; then
    failed "the first window opens by itself" "$log"; kill $launcher; wait $launcher; return
  fi
  claim "window 1, which opened by itself, is published while the program goes on" "$python" "$here/check_servers.py" "$run"
  window open "$run" --max-collectives 60 && within 30 published "$run" 2
  claim "window 2, of 60 collectives, is published while the program goes on" "$python" "$here/check_servers.py" "$run/window2" 
  window open "$run" --seconds 60 && within 30 recording "$run" 3 && sleep 0.5 && window close "$run"
  claim "window 3, which was closed by hand, is published while the program goes on" "$python" "$here/check_servers.py" "$run/window3"
  window open "$run" --seconds 0.5 && within 30 published "$run" 4
  claim "window 4, of half a second, is published while the program goes on" "$python" "$here/check_servers.py" "$run/window4"
  window status "$run"
  claim "the program went on meanwhile" kill -0 $launcher
  touch "$stop"
  wait $launcher
  claim "and ended as it would alone" test $? -eq 0
  grep "rounds" "$log"
}

rotation() {
  local run=$output/traces/rotation log=$output/rotation.log
  MASTER_PORT=$((port += 1)) capture rotation --duration 1.5 --every 3s --keep 2 --timeout 120 -- \
    "$python" "$here/server_block.py" serve "$output/never" >"$log" 2>&1 &
  local launcher=$!
  within 60 test -e "$run/window4/run.json" && within 20 test ! -e "$run/rank0.json.gz"
  claim "--every opened window 4, and --keep removed window 1" test -e "$run/window4/run.json" -a ! -e "$run/rank0.json.gz"
  within 6 eval 'window status "$run" | grep -q recording'
  "$python" - "$run/run.json" <<'P'
import json, os, signal, sys
for rank in json.load(open(sys.argv[1]))["ranks"]:
    os.kill(rank["pid"], signal.SIGKILL)
P
  wait $launcher
  echo "exit code $?, windows: $(ls -d "$run"/window* | xargs -n 1 basename | tr '\n' ' ')"
  local whole=0 folder
  for folder in "$run"/window*; do
    "$python" "$here/check_servers.py" "$folder" | tail -n 1
    "$python" "$here/check_servers.py" "$folder" >/dev/null && whole=$((whole + 1))
  done
  claim "SIGKILL of both ranks left the windows that had closed" test $whole -ge 1 -a $(($(ls -d "$run"/window* | wc -l) - whole)) -le 1
}

blocks() {
  MASTER_PORT=$((port += 1)) timeout 120 "$python" "$here/server_block.py" blocks "$output/traces/blocks" >"$output/blocks.log" 2>&1 ||
    failed "a program with two blocks ends well" "$output/blocks.log"
  claim "the first block has its five rounds" "$python" "$here/check_servers.py" "$output/traces/blocks/first" 5
  claim "the second block has its three rounds" "$python" "$here/check_servers.py" "$output/traces/blocks/second" 3
}

carried() { # PORT BACKEND/RUNTIME: the backend carries, or one line says why it does not
  local name=${2%/*} runtime=${2#*/}
  local label=$runtime-$name
  local log=$output/$label.log
  MASTER_PORT=$1 PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$SGLANG capture "$label" --backend "$name" --duration 20 --timeout $within -- \
    "$python" "$here/groups_block.py" "$runtime" >"$log" 2>&1
  local code=$? line
  "$python" "$here/check_servers.py" "$output/traces/$label"
  line=$(grep -h -o -E "traceana: (error: )?-*(--backend|the backend|rank).*|(^|Refusal: |Error: )(traceana: --backend .*|.*cannot do --backend.*)" "$log" | sort -u | head -n 1)
  echo "$label: exit code $code, $("$python" - "$output/traces/$label/run.json" <<'P'
import json, sys
try:
    backend = json.load(open(sys.argv[1]))["backend"]
    print("adapter", backend["adapter"], "saw", backend["seen"], "mismatch", backend["mismatch"])
except OSError as error:
    print("no run.json:", error.strerror)
P
)"
  if [ -n "$line" ]; then ok "$label says why not: $line"; elif ((code)); then failed "$label" "$log"; else ok "$label carries by $name"; fi
}

in_turn() { # FUNCTION WHAT...: `FUNCTION PORT WHAT` of each, so many at once, and then what they said
  local function=$1 one pids part
  shift
  while (($#)); do
    if ((SECONDS >= limit)); then echo "left out, because $limit s are over: $*"; return; fi
    pids=()
    for one in "${@:1:at_once}"; do
      # Each a port of its own: a command in the background counts for itself.
      port=$((port + 1)) part=$output/part.$function.${one//[\/,]/-}.txt
      (status=0; $function $port "$one" >"$part" 2>&1; exit $status) &
      pids+=($!)
    done
    for one in "${@:1:at_once}"; do
      wait "${pids[0]}" || status=1
      pids=("${pids[@]:1}")
      cat "$output/part.$function.${one//[\/,]/-}.txt"
    done
    shift $(($# < at_once ? $# : at_once))
  done
}

backends() {
  in_turn carried ${CARRIED:-ipc/diffusion custom/srt symm_mem/srt torch/diffusion pynccl/srt torch/srt custom/diffusion
    pynccl/diffusion symm_mem/diffusion}
}

symmetric() {
  capture symmetric --duration 20 --timeout 60 -- "$python" "$here/direct_block.py" symmetric >"$output/symmetric.log" 2>&1
  claim "symmetric memory of torch alone has its kernels and sizes" "$python" "$here/sizes.py" "$output/traces/symmetric"
}

paired() { # PORT ALL_REDUCE/ALL_TO_ALL, the backends to hold against each other, or "full"
  local one=${2%/*} other=${2#*/} label log code rounds=60 full=
  [ "$2" != full ] || one=torch,pynccl other=torch,ipc rounds=10 full=full
  label=pairs-${2//[\/,]/-}
  log=$output/$label.log
  MASTER_PORT=$1 PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$SGLANG capture "$label" --backend torch --paired "all_reduce:$one" \
    --paired "all_to_all:$other" --duration 20 --timeout $within -- "$python" "$here/groups_block.py" diffusion $rounds $full >"$log" 2>&1
  code=$?
  grep -h -E "traceana:|rounds" "$log"
  "$python" "$here/check_pairs.py" "$output/traces/$label" "$log" $full || code=1
  if ((code)); then failed "$label" "$log"
  elif [ -n "$full" ]; then ok "a rank without memory for $other ends the pairs with one line, and the program goes on"
  else ok "$label: $one and $other in turn, results agree, and nothing else carried the program's calls"; fi
}

pairs() {
  local line
  line=$(PYTHONPATH=${PYTHONPATH:+$PYTHONPATH:}$SGLANG capture refused --backend torch --paired all_to_all:custom,ipc -- true 2>&1)
  echo "$line"
  claim "what cannot alternate is refused before anything runs" grep -q "custom carries all_reduce alone" <<<"$line"
  in_turn paired ${PAIRED:-torch,custom/torch,ipc full custom,symm_mem/pynccl,ipc torch,symm_mem/torch,pynccl
    pynccl,custom/pynccl,ipc pynccl,symm_mem/torch,ipc torch,pynccl/torch,pynccl}
}

for part in ${PARTS:-windows rotation blocks symmetric backends pairs}; do
  if [[ $part = symmetric ]] && ((gpus < 2)); then
    echo "$part: left out, because it needs two GPUs"
  elif [[ $part =~ backends|pairs ]] && { [ -z "${SGLANG:-}" ] || ((gpus < 2)); }; then
    echo "$part: left out, because they need two GPUs and sglang"
  elif ((SECONDS >= limit)); then
    echo "$part: left out, because $limit s are over"
  else
    echo "---- $part at ${SECONDS} s"
    $part
  fi
done
exit $status
