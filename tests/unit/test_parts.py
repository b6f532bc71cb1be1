"""Parts that were measured apart give the report of the whole, byte for byte."""

import shutil
from pathlib import Path
from unittest import mock

import msgspec
import pytest

from tests.commands import refused, traceana
from traceana.commands.measure import parse_share
from traceana.errors import TraceanaError
from traceana.saved import parts
from traceana.saved.part_index import INDEX, parts_at

H200 = Path(__file__).parents[1] / "traces" / "h200"
FILES = ("report.json", "report.html", "collectives.parquet")


@pytest.fixture(scope="module")
def traces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("traces")
    for run in ("torch-2r", "pynccl-2r"):
        shutil.copytree(H200 / run, folder / run)
    return folder


def test_shares_of_the_files_and_the_whole_are_one_report(traces: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    traceana("analyze", traces, "-o", whole, "--no-cache")
    for share in ("1/3", "2/3", "3/3"):
        traceana("measure", traces, "-o", tmp_path / "parts" / share[0], "--share", share, "--workers", "1")
    shutil.move(traces, tmp_path / "away")
    traceana("analyze", *sorted((tmp_path / "parts").iterdir()), "-o", tmp_path / "joined")
    shutil.move(tmp_path / "away", traces)
    for name in FILES:
        assert (tmp_path / "joined" / name).read_bytes() == (whole / name).read_bytes()


def test_a_folder_of_nothing_but_parts_stands_for_them(traces: Path, tmp_path: Path) -> None:
    for share in ("1/2", "2/2"):
        traceana(
            "measure", traces / "torch-2r", "-o", tmp_path / "parts" / share[0], "--share", share, "--workers", "1"
        )
    (tmp_path / "parts" / ".hidden").mkdir()
    assert parts_at([tmp_path / "parts"]) == (tmp_path / "parts" / "1", tmp_path / "parts" / "2")
    assert parts_at([tmp_path / "parts", traces]) == ()
    # Traces with parts beside them are traces.
    (tmp_path / "parts" / "rank0.json.gz").touch()
    assert parts_at([tmp_path / "parts"]) == ()
    assert parts_at([tmp_path / "none"]) == ()


def test_a_node_that_sees_its_own_ranks_alone_joins_the_others(traces: Path, tmp_path: Path) -> None:
    local = Path(shutil.copytree(traces / "torch-2r", tmp_path / "torch-2r"))
    traceana("analyze", local, "-o", tmp_path / "whole", "--no-cache")
    for rank, other in ((0, 1), (1, 0)):
        hidden = local / f"rank{other}.json.gz"
        hidden.rename(tmp_path / hidden.name)
        traceana("measure", local, "-o", tmp_path / "parts" / str(rank), "--workers", "1")
        (tmp_path / hidden.name).rename(hidden)
    traceana("analyze", *sorted((tmp_path / "parts").iterdir()), "-o", tmp_path / "joined")
    assert (tmp_path / "joined" / "report.json").read_bytes() == (tmp_path / "whole" / "report.json").read_bytes()


def test_a_rank_whose_part_is_missing_or_whose_file_failed_is_named(traces: Path, tmp_path: Path) -> None:
    run = Path(shutil.copytree(traces / "torch-2r", tmp_path / "torch-2r"))
    traceana("measure", run, "-o", tmp_path / "part", "--share", "1/2", "--workers", "1")
    found = parts.read([tmp_path / "part"])
    lost = found.results[run / "rank1.json.gz"]
    assert isinstance(lost, TraceanaError)
    assert "in none of these parts" in str(lost)
    again = shutil.copytree(tmp_path / "part", tmp_path / "again")
    assert "name each part once" in refused("analyze", tmp_path / "part", again, "-o", tmp_path / "report")


def test_a_folder_that_two_tasks_were_given_holds_the_part_of_one(
    traces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    part = tmp_path / "part"
    for _ in range(2):
        traceana("measure", traces / "torch-2r", "-o", part, "--share", "1/2", "--workers", "1")
    kept = {path.name: path.read_bytes() for path in part.iterdir()}
    assert len(kept) == 2
    other = ("measure", traces / "torch-2r", "-o", part, "--share", "2/2", "--workers", "1")
    assert "holds a part of other traces; name another folder with -o" in refused(*other)
    # The first look was before the other's index came.
    looks = mock.Mock(side_effect=[None, TraceanaError("not alone")])
    monkeypatch.setattr(parts, "_replaced", looks)
    assert "not alone" in refused(*other)
    assert looks.call_count == 2
    assert {path.name: path.read_bytes() for path in part.iterdir()} == kept


def test_a_part_of_another_version_or_damaged_is_refused(traces: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    traceana("measure", traces / "torch-2r", "-o", part, "--workers", "1")
    index = msgspec.json.decode((part / INDEX).read_bytes())
    columns = next(part.glob("*.measured"))
    whole = columns.read_bytes()
    columns.write_bytes(whole[:-5])
    assert "measure its traces again" in refused("analyze", part, "-o", tmp_path / "report")
    columns.write_bytes(whole)
    for damaged in ({**index, "version": "other"}, {"version": 1}):
        (part / INDEX).write_bytes(msgspec.json.encode(damaged))
        assert "measure its traces again" in refused("analyze", part, "-o", tmp_path / "report")


def test_patterns_come_too_late_for_what_is_measured(traces: Path, tmp_path: Path) -> None:
    traceana("measure", traces / "torch-2r", "-o", tmp_path / "part", "--workers", "1")
    assert "traceana measure" in refused("analyze", tmp_path / "part", "--comm-kernel", "mine=x")


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/0", "²/3"])
def test_a_share_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(TraceanaError, match="--share"):
        parse_share(text)
