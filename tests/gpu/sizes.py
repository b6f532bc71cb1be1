"""Prints how many communication kernels of each rank carry a size; fails when there are none, or one without."""

import collections
import gzip
import json
import re
import sys
from pathlib import Path

failed = False
for path in sorted(Path(sys.argv[1]).glob("rank*.json.gz")):
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    kernels = [
        event for event in events if event.get("cat") == "kernel" and re.search("nccl|all_?reduce", event["name"])
    ]
    sized = collections.Counter(
        (k["args"].get("Collective name"), k["args"].get("In msg nelems"), k["args"].get("traceana backend"))
        for k in kernels
    )
    print(path, len(kernels), dict(sized), sorted({k["name"][:60] for k in kernels}))
    failed |= not kernels or any(size is None for _, size, _ in sized)
sys.exit(failed)
