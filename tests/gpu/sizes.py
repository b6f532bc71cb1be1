"""Prints how many NCCL kernels of each rank carry a message size; fails when there are none, or one without."""

import collections
import gzip
import json
import sys
from pathlib import Path

failed = False
for path in sorted(Path(sys.argv[1]).glob("rank*.json.gz")):
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    kernels = [event for event in events if event.get("cat") == "kernel" and "nccl" in event["name"].lower()]
    sized = collections.Counter((k["args"].get("Collective name"), k["args"].get("In msg nelems")) for k in kernels)
    print(path, len(kernels), dict(sized))
    failed |= not kernels or any(size is None for _, size in sized)
sys.exit(failed)
