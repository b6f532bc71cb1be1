"""`python -m traceana.bench.rank PLAN RESULT`: one rank of a bench; rank 0 writes what was measured."""

import os
import sys
from pathlib import Path

import msgspec
import torch
import torch.distributed as dist

from traceana.bench.measure import measure
from traceana.bench.plan import Plan
from traceana.bench.world import join
from traceana.errors import TraceanaError
from traceana.report.bench import BenchReport


def measured(plan: Plan) -> BenchReport | None:
    """Join the other ranks and measure; the report on rank 0, None on the others. Raises TraceanaError."""
    world = join()
    try:
        # As in inference: sglang keeps its buffers only then.
        with torch.no_grad(), world.own_stream():
            report = measure(plan, world)
    finally:
        dist.destroy_process_group()
    return report if world.rank == 0 else None


def main(plan: Path, result: Path) -> int:
    """Run this rank, and leave rank 0's report in `result`, or why there is none beside it."""
    try:
        report = measured(msgspec.json.decode(plan.read_bytes(), type=Plan))
    except TraceanaError as error:
        # All ranks fail alike, and the launcher says it once.
        if os.environ["RANK"] == "0":
            result.with_suffix(".error").write_text(str(error), encoding="utf-8")
        return error.exit_code
    if report is not None:
        result.write_bytes(msgspec.json.encode(report))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
