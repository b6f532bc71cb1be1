"""Windows of a run that several launchers share, with stand-ins of their ranks."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from traceana_capture.launcher import asking, windows
from traceana_capture.launcher import record as real
from traceana_capture.launcher.asking import Ask
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.record import Plan
from traceana_capture.launcher.run_folder import ORDERED, Claim
from traceana_capture.launcher.windows import Windows
from traceana_capture.launcher.workers import Roster, Worker

from traceana.errors import TraceanaError


class Ranks(Roster):
    """One rank, which answers at once and waits for each window that is ordered."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        self.ordered: list[int] = []
        self.windows[1][os.getpid()] = Worker(
            pid=os.getpid(),
            rank=rank,
            world_size=2,
            host="h",
            backend="gloo",
            versions={},
            state="exporting",
            trace="t",
        )
        self.windows[1][os.getpid()].state = "done"

    def tell(self, pids: set[int], order: dict[str, Any]) -> None:
        if order["do"] == "place":
            self.places |= dict.fromkeys(pids, (0, 0, 7))
        else:
            self.ordered.append(order["window"])


class Record:
    """What windows need of it: the claim and the options."""

    def __init__(self, claim: Claim) -> None:
        self.claim = claim
        self.removed: set[int] = set()
        self.plan: Any = type("Plan", (), {"options": Options(argv=("x",), nccl={})})

    def begin(self, number: int, _bounds: object) -> None:
        self.claim.of_window(number)


class NoneLeft:
    """Nothing is to be published."""

    def left(self, _number: int) -> list[Worker]:
        return []


@pytest.fixture
def launchers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Windows]]:
    """Two launchers of one run, each of which looks for questions of the other."""
    monkeypatch.setattr(windows, "APART_S", 0.01)
    monkeypatch.setattr(windows, "LOOK_S", 0.0)
    folder = tmp_path / "run"
    folder.mkdir()
    scratches = [tmp_path / f"{node}.scratch" for node in "ab"]
    made: list[Windows] = []
    for at, scratch in enumerate(scratches):
        scratch.mkdir()
        record: Any = Record(Claim(folder=folder, scratch=scratch, lock=-1))
        ranks: Any = Ranks(at)
        live: Any = NoneLeft()
        made.append(Windows(record, ranks, live, lambda at=at: [scratches[1 - at]]))  # type: ignore[misc]
        made[-1].begin()
    over = threading.Event()

    def look() -> None:
        while not over.is_set():
            for launcher in made:
                launcher.look()
            time.sleep(0.005)

    thread = threading.Thread(target=look)
    thread.start()
    yield made
    over.set()
    thread.join()


def test_of_two_openers_at_two_launchers_one_orders_the_window(launchers: list[Windows], tmp_path: Path) -> None:
    """Both come to the window's file at once, which is where one of them is first."""
    both = threading.Barrier(2)
    for launcher in launchers:
        claim = launcher.record.claim.of_window(2)

        class Met(type(claim)):  # type: ignore[misc]
            def take_order(self) -> bool:
                both.wait(10)
                return super().take_order()  # type: ignore[no-any-return]

        met = Met(folder=claim.folder, scratch=claim.scratch, lock=-1)
        launcher.record.claim = type(
            "Run", (), {"scratch": claim.scratch, "of_window": lambda _self, _n, met=met: met}
        )()
    said: list[object] = []

    def opened(launcher: Windows) -> None:
        try:
            said.append([window.number for window in launcher.answer(Ask(do="open")).windows])
        except TraceanaError as error:
            said.append(str(error))

    threads = [threading.Thread(target=opened, args=(launcher,)) for launcher in launchers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [2] in said
    said.remove([2])
    assert said == ["window 2 waits already, for the program's next request, step or collective"]
    orders: list[Any] = [launcher.ranks for launcher in launchers]
    assert [ranks.ordered for ranks in orders] == [[2], [2]]


def test_a_window_that_somebody_took_and_never_ordered_is_passed_over(
    launchers: list[Windows], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(windows, "ORDERED_S", 0.0)
    (tmp_path / "run" / "window2").mkdir()
    (tmp_path / "run" / "window2" / ORDERED).touch()
    (window,) = launchers[0].answer(Ask(do="open")).windows
    assert (window.number, window.ranks) == (3, {"waiting": [0, 1]})


def test_nobody_takes_a_window_away_from_one_who_orders_it_as_slowly_as_may_be(
    launchers: list[Windows], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each question may be taken as late, and a place answered as late, as those who ask put up with."""
    began = 1e9
    clock, (first, second) = [began], launchers
    slow: Any = SimpleNamespace(
        monotonic=lambda: clock[0], sleep=lambda seconds: clock.__setitem__(0, clock[0] + seconds)
    )
    asked = first._all

    def slowly(wanted: Ask) -> Any:
        clock[0] += asking.TAKEN_S + (windows.PLACE_S if wanted.do == "place" else 0.0)
        return asked(wanted)

    monkeypatch.setattr(first, "_all", slowly)
    monkeypatch.setattr(windows, "time", slow)
    first._ordered(2, Ask(do="open"))
    assert clock[0] - began <= windows.ORDERED_S
    assert second.ranks.latest() == 2


def test_a_window_whose_exports_failed_leaves_no_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    claim = Claim(folder=tmp_path / "run", scratch=tmp_path, lock=-1)
    plan = Plan(options=Options(argv=("x",), nccl={}), label="run", repeat=None, started="", environment={})
    assert claim.of_window(2).take_order()
    real.Record(plan, claim).remove(2, [])
    assert list(claim.folder.iterdir()) == []


def test_a_number_that_is_known_is_not_ordered_again(launchers: list[Windows]) -> None:
    launchers[0].answer(Ask(do="open"))
    with pytest.raises(TraceanaError, match="window 2 is there already"):
        launchers[1].answer(Ask(do="order", number=2))
