"""What `analyze` saves is what it is read back as."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
from msgspec.structs import replace

from tests import reports
from tests.simulation import Truth, side
from traceana.analyze.run import AnalyzedRun
from traceana.errors import TraceanaError
from traceana.saved import calls
from traceana.saved.output import CALLS
from traceana.saved.read import runs_of_report
from traceana.saved.write import write

COLUMNS = (
    *("rank", "start_ns", "duration_ns", "exposed_ns", "wait_ns", "transfer_ns", "matched", "collective", "seq"),
    *("step", "warm_up"),
)


def simulated() -> list[AnalyzedRun]:
    runs = side("a", Truth(repeats=2, steps=3, late_ns=400_000), np.random.default_rng(1)).runs
    return [
        replace(runs[0], calls=replace(runs[0].calls, site=runs[0].calls.signature % 2 - 1, sites=("Attention",))),
        runs[1],
    ]


def test_calls_come_back_as_they_were(tmp_path: Path) -> None:
    runs = simulated()
    write(reports.report(*(run.report for run in runs)), runs, tmp_path)
    for saved, read in zip(runs, runs_of_report(tmp_path / "report.json"), strict=True):
        assert read.report == saved.report
        for name in COLUMNS:
            assert np.array_equal(getattr(read.calls, name), getattr(saved.calls, name)), name
        groupless = [replace(signature, group=None) for signature in saved.calls.signatures]
        assert [read.calls.signatures[code] for code in read.calls.signature] == [
            groupless[code] for code in saved.calls.signature
        ]
        assert [(*read.calls.sites, None)[site] for site in read.calls.site] == [
            (*saved.calls.sites, None)[site] for site in saved.calls.site
        ]


def test_the_file_has_the_schema(tmp_path: Path) -> None:
    runs = simulated()
    write(reports.report(*(run.report for run in runs)), runs, tmp_path)
    assert parquet.read_schema(tmp_path / CALLS).equals(calls.SCHEMA)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data.replace(b"a", b"\xff"),
        lambda data: b"[" * 100_000,
        lambda data: bytes(len(data)),
    ],
    ids=["cut", "no UTF-8", "deep", "zeros"],
)
@pytest.mark.parametrize("name", ["report.json", CALLS])
def test_a_damaged_report_or_table_is_one_error(tmp_path: Path, name: str, damage: Callable[[bytes], bytes]) -> None:
    runs = simulated()
    write(reports.report(*(run.report for run in runs)), runs, tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(damage(data))
    with pytest.raises(TraceanaError, match="analyze"):
        runs_of_report(tmp_path / "report.json")


def test_a_table_whose_columns_are_of_other_types_is_an_error(tmp_path: Path) -> None:
    runs = simulated()
    write(reports.report(*(run.report for run in runs)), runs, tmp_path)
    table = calls.table(runs)
    odd = table.set_column(table.column_names.index("start_ns"), "start_ns", table["run"])
    parquet.write_table(odd, tmp_path / CALLS)
    with pytest.raises(TraceanaError, match="needs the"):
        runs_of_report(tmp_path / "report.json")
