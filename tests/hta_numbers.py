"""`python -m tests.hta_numbers FILE…`: what HolisticTraceAnalysis finds in trace files, as JSON, in its own process.

Its own process, since HTA warns about pandas and reads HTA_DISABLE_NS_ROUNDING at load.
"""

import json
import os
import sys
import warnings
from pathlib import Path
from typing import Any
from unittest import mock

from tests import warm


def numbers(files: list[Path], *, rounding: bool) -> list[dict[str, float]]:
    """Overlap in % and busy times in µs of each file, files in the order of ranks; HTA rounds to µs by default."""
    with mock.patch.dict(os.environ, HTA_DISABLE_NS_ROUNDING="0" if rounding else "1"):
        done = warm.run("-m", "tests.hta_numbers", *map(str, files))
    assert done.returncode == 0, done.stderr
    result: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return result


def main(files: list[str]) -> None:
    """Load, overlap and temporal breakdown: what a user of HTA asks first."""
    warnings.simplefilter("ignore")
    from hta.trace_analysis import TraceAnalysis

    analysis: Any = TraceAnalysis(trace_files=dict(enumerate(files)))
    overlap = analysis.get_comm_comp_overlap(visualize=False)
    breakdown = analysis.get_temporal_breakdown(visualize=False)
    print(json.dumps(overlap.merge(breakdown, on="rank").to_dict("records")))


if __name__ == "__main__":
    main(sys.argv[1:])
