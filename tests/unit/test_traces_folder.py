"""The tiny traces on disk are those that `cases.py` states, so nobody edits one by hand and forgets the other."""

import json
from pathlib import Path

import pytest

from tests.synthetic.truth import covered_ns
from tests.traces import base
from tests.traces.cases import CASES, DAMAGED
from tests.traces.make import FOLDER, files

BROKEN = {case.data for case in DAMAGED if not case.file.startswith(("no-", "huge-", "negative-", "deep-"))}


def test_files_are_as_made() -> None:
    for name, data in files().items():
        # Compressed bytes may differ between versions of zlib.
        assert base.readable((FOLDER / name).read_bytes()) == base.readable(data), f"{name}: run tests.traces.make"


def test_no_other_files() -> None:
    made = {FOLDER / name for name in files()}
    kept = ("h100", "h200", "h200x2", "sglang")
    # A folder of that name is what `analyze` keeps of a run.
    found = {
        path
        for path in FOLDER.glob("**/*.json*")
        if path.parent.parent.name not in kept and path.parent.name != ".traceana"
    }
    assert found == {path for path in made if path.name != "README.md"}


def test_names_are_unique() -> None:
    assert len({case.file for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", [case for case in DAMAGED if case.data in BROKEN], ids=lambda case: case.file)
def test_damage_is_real(case: object) -> None:
    data = base.readable(next(other.data for other in DAMAGED if other is case))
    with pytest.raises((ValueError, AssertionError)):
        json.loads(data, parse_constant=_refuse)


def test_good_trace_adds_up() -> None:
    kernels = base.kernels_of(base.good())
    intervals = [(round(float(str(k["ts"])) * 1000), round(float(str(k["dur"])) * 1000)) for k in kernels]
    compute = [(start, start + dur) for start, dur in intervals[::2]]
    comm = [(start, start + dur) for start, dur in intervals[1::2]]
    assert (covered_ns(compute), covered_ns(comm)) == (base.COMPUTE_NS, base.COMM_NS)
    assert comm[-1][1] - compute[0][0] == base.SPAN_NS


def test_folder_holds_small_files_only() -> None:
    assert max(path.stat().st_size for path in Path(FOLDER).glob("*.json*")) < 20_000


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")
