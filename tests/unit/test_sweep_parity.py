"""Whether a cell makes what the baseline makes."""

import sys
from pathlib import Path

import numpy as np
import pytest

from traceana.sweep import parity
from traceana.sweep.parity import Made, compare
from traceana.sweep.runner import outputs


def made(folder: Path, **arrays: np.ndarray) -> Made:
    folder.mkdir()
    for name, values in arrays.items():
        np.save(folder / f"{name}.npy", values)
    return Made(folder=folder, outputs=outputs(folder))


def other(folder: Path, name: str, content: bytes) -> Made:
    folder.mkdir()
    (folder / name).write_bytes(content)
    return Made(folder=folder, outputs=outputs(folder))


VALUES = np.linspace(-1, 1, 100)


def test_the_same_bytes_are_the_same(tmp_path: Path) -> None:
    found = compare([made(tmp_path / "a", x=VALUES)], [made(tmp_path / "b", x=VALUES)])
    assert (found.status, found.detail) == ("same", "the same bytes in 1 file")


@pytest.mark.parametrize(("by", "status"), [(0.001, "close"), (0.1, "differs")])
def test_tensors_are_close_or_not(tmp_path: Path, by: float, status: str) -> None:
    found = compare([made(tmp_path / "a", x=VALUES)], [made(tmp_path / "b", x=VALUES + by)])
    assert found.status == status
    assert found.max_difference == pytest.approx(by)


def test_what_the_baseline_does_itself_is_no_fault_of_a_cell(tmp_path: Path) -> None:
    baseline = [made(tmp_path / "a", x=VALUES), made(tmp_path / "b", x=VALUES + 0.2)]
    found = compare(baseline, [made(tmp_path / "c", x=VALUES + 0.1)])
    assert (found.status, found.detail.partition(";")[2]) == ("close", " the baseline's own runs are as far apart")
    assert compare(baseline, [made(tmp_path / "d", x=VALUES + 0.3)]).status == "differs"


def test_numbers_that_are_none_differ(tmp_path: Path) -> None:
    found = compare([made(tmp_path / "a", x=VALUES)], [made(tmp_path / "b", x=VALUES * np.nan)])
    assert (found.status, found.detail) == ("differs", "x.npy: it has values that are no numbers")


def test_other_shapes_and_missing_files_differ(tmp_path: Path) -> None:
    baseline = [made(tmp_path / "a", x=VALUES)]
    assert compare(baseline, [made(tmp_path / "b", x=VALUES[:5])]).status == "differs"
    assert compare(baseline, [made(tmp_path / "c", x=VALUES, y=VALUES)]).status == "differs"
    assert compare(baseline, [made(tmp_path / "d")]).status == "differs"


def test_what_cannot_be_told_is_unknown(tmp_path: Path) -> None:
    assert compare([made(tmp_path / "a")], [made(tmp_path / "b")]).status == "unknown"
    odd = compare([other(tmp_path / "c", "x.bin", b"1")], [other(tmp_path / "d", "x.bin", b"2")])
    assert (odd.status, odd.psnr_db) == ("unknown", None)
    damaged = compare([other(tmp_path / "e", "x.npy", b"1")], [other(tmp_path / "f", "x.npy", b"2")])
    assert damaged.status == "unknown"


@pytest.mark.parametrize(("by", "status", "psnr_db"), [(1, "close", 48.13), (64, "differs", 12.01)])
def test_images_are_told_apart_by_their_psnr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: int, status: str, psnr_db: float
) -> None:
    """Decoded by a stand-in: a file of bytes is an image of one row."""
    monkeypatch.setattr(parity, "_image", lambda path: np.frombuffer(path.read_bytes(), dtype=np.uint8))
    found = compare(
        [other(tmp_path / "a", "x.png", bytes([10] * 9))], [other(tmp_path / "b", "x.png", bytes([10 + by] * 9))]
    )
    assert found.status == status
    assert found.psnr_db == pytest.approx(psnr_db, abs=0.01)


def test_what_is_needed_to_read_a_video_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "imageio", None)
    monkeypatch.setitem(sys.modules, "imageio.v3", None)
    found = compare([other(tmp_path / "a", "x.mp4", b"1")], [other(tmp_path / "b", "x.mp4", b"2")])
    assert found.status == "unknown"
    assert "to tell how far" in found.detail
