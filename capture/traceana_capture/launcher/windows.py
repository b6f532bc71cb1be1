"""The windows of a run that goes on: opened, closed and shown as `traceana window` asks, also with other launchers.

A window opens on all ranks at one moment of the program: each rank says how far it is, twice, and the place is chosen
so far ahead that the order reaches all of them before. The launcher that is asked asks the others. Of two that are
asked at once, the one that makes the window's file orders it.
"""

import contextlib
import math
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from traceana import units
from traceana.errors import TraceanaError
from traceana_capture.launcher.asking import ASKED, TAKEN_S, Answer, Ask, Shown, ask, reply, take
from traceana_capture.launcher.live import Live
from traceana_capture.launcher.record import Bounds, Record
from traceana_capture.launcher.workers import BUSY, WAITING, Ranks, Worker, is_alive

LOOK_S = 0.2
APART_S = 0.2
# Longer than an order takes to a rank; what asking takes is added.
LEAD_S = 0.3
PLACE_S = 2.0
# Whoever took a window has ordered it by then, or is gone: it asks all for their places twice, and gives the order.
ORDERED_S = APART_S + 3 * (TAKEN_S + PLACE_S)
CLOSE_S = 300.0
TICK_S = 0.02
Place = tuple[int, int, int]


class Windows:
    """Those of this launcher's ranks, and with `others` (their scratch folders) of the whole run's."""

    def __init__(self, record: Record, ranks: Ranks, live: Live, others: Callable[[], Sequence[Path]]) -> None:
        self.record = record
        self.ranks = ranks
        self.live = live
        self.others = others
        self._one_order = threading.Lock()
        self._next = 0.0
        self._parts: dict[str, Callable[[Ask], Answer]] = {
            "ready": self._ready,
            "place": self._place,
            "order": self._order,
            "end": self._end,
            "show": self._show,
        }

    def begin(self) -> None:
        """Be there for questions; raises OSError."""
        (self.record.claim.scratch / ASKED).mkdir(exist_ok=True)

    def look(self) -> None:
        """Answer what is asked, a few times a second, each question on a thread of its own."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + LOOK_S
        with contextlib.suppress(OSError):
            for question in take(self.record.claim.scratch):
                threading.Thread(target=reply, args=(question, self.answer), daemon=True).start()

    def answer(self, wanted: Ask) -> Answer:
        """Do what is asked; raises TraceanaError where it cannot be done, OSError where nothing can be written."""
        if wanted.do in self._parts:
            return self._parts[wanted.do](wanted)
        if wanted.do == "open":
            with self._one_order:
                return self.open(wanted)
        return self.close() if wanted.do == "close" else self.status()

    def open(self, wanted: Ask) -> Answer:
        """Order the next window on all ranks."""
        self._check(wanted)
        number = self._taken()
        try:
            return self._ordered(number, wanted)
        except Exception:
            self.record.claim.of_window(number).end_order()
            raise

    def _taken(self) -> int:
        """The next window's number, which nobody else has; raises TraceanaError where a window is open, or waits."""
        passed = 0
        while True:
            ready = self._all(Ask(do="ready"))
            if not any(answer.ranks for answer in ready):
                raise TraceanaError("no rank has appeared yet" if not self.ranks.workers else "no rank is left")
            number = 1 + passed + max(window.number for answer in ready for window in answer.windows)
            if self.record.claim.of_window(number).take_order():
                return number
            end = time.monotonic() + ORDERED_S
            while self.ranks.latest() < number and time.monotonic() < end:
                time.sleep(TICK_S)
            passed += self.ranks.latest() < number

    def _ordered(self, number: int, wanted: Ask) -> Answer:
        began = time.monotonic()
        first = _furthest(self._all(Ask(do="place")))
        asking_s = time.monotonic() - began
        time.sleep(APART_S)
        second = _furthest(self._all(Ask(do="place")))
        place = _ahead(first, second, APART_S + asking_s, LEAD_S + 2 * asking_s)
        order = Ask(
            do="order",
            number=number,
            place=place,
            steps=wanted.steps,
            seconds=wanted.seconds,
            max_collectives=wanted.max_collectives,
        )
        return Answer(windows=_merged(self._all(order)))

    def close(self) -> Answer:
        """Close the latest window on all ranks; its traces are published then."""
        ended = [answer for answer in self._all(Ask(do="end")) if answer.windows]
        if not ended:
            raise TraceanaError("no window is open; traceana window status shows those that were")
        return Answer(windows=_merged(ended))

    def status(self) -> Answer:
        """All windows, as they stand."""
        return Answer(windows=_merged(self._all(Ask(do="show"))))

    def _check(self, wanted: Ask) -> None:
        most = self.record.plan.options.max_collectives
        if (wanted.max_collectives or 0) > most:
            raise TraceanaError(
                f"--max-collectives {wanted.max_collectives} is more than this run has room for; ask for {most} at "
                "most, or give capture more"
            )
        if self.record.plan.options.paired:
            raise TraceanaError("ranks pair their calls in one window only, and --paired was asked for")

    def _all(self, wanted: Ask) -> list[Answer]:
        """What this launcher and the others answer to their parts."""
        others = self.others()
        with ThreadPoolExecutor(max(1, len(others))) as pool:
            asked = [pool.submit(ask, scratch, wanted) for scratch in others]
            return [self._parts[wanted.do](wanted), *(answer.result() for answer in asked)]

    def _ready(self, _: Ask) -> Answer:
        """The ranks that can take part, and the latest window; raises TraceanaError where that is open, or waits."""
        number = self.ranks.latest()
        living = [worker for worker in self._workers(number) if is_alive(worker.pid)]
        busy = [worker.rank for worker in living if worker.state in BUSY]
        if busy:
            name = "rank" if len(busy) == 1 else "ranks"
            raise TraceanaError(
                f"window {number} is open on {name} {units.number_ranges(busy)}; wait for its end, or close it"
            )
        if living and all(worker.state in WAITING and not worker.reason for worker in living):
            raise TraceanaError(f"window {number} waits already, for the program's next request, step or collective")
        return Answer(windows=[self.shown(number)], ranks=[worker.rank for worker in living])

    def _place(self, _: Ask) -> Answer:
        """How far the program is on the furthest rank of those that answer in time."""
        pids = self._living()
        self.ranks.places.clear()
        self.ranks.tell(pids, {"do": "place"})
        end = time.monotonic() + PLACE_S
        while self.ranks.places.keys() < pids and time.monotonic() < end:
            time.sleep(TICK_S)
        return Answer(place=_most(list(self.ranks.places.values())))

    def _order(self, wanted: Ask) -> Answer:
        if wanted.number <= self.ranks.latest():
            raise TraceanaError(f"window {wanted.number} is there already; ask again for the next")
        own = self.record.plan.options
        bounds = Bounds(
            steps=own.steps if wanted.steps is None else wanted.steps,
            duration_s=wanted.seconds or own.duration_s,
            max_collectives=wanted.max_collectives or own.max_collectives,
        )
        self.record.begin(wanted.number, bounds)
        self.ranks.of_window(wanted.number)
        order = {"do": "open", "window": wanted.number, "place": wanted.place, "bounds": asdict(bounds)}
        self.ranks.tell(self._living(), order)
        return Answer(windows=[self.shown(wanted.number)])

    def _end(self, _: Ask) -> Answer:
        """Close the latest window here, if it is open or waits, and wait for its traces."""
        number = self.ranks.latest()
        awaited = [one for one in self._workers(number) if one.state in (*BUSY, *WAITING) and is_alive(one.pid)]
        if not awaited:
            return Answer()
        self.ranks.tell([worker.pid for worker in awaited], {"do": "close"})
        end = time.monotonic() + CLOSE_S
        while (self._pending(awaited) or self.live.left(number)) and time.monotonic() < end:
            time.sleep(TICK_S)
        return Answer(windows=[self.shown(number)])

    def _pending(self, workers: Sequence[Worker]) -> bool:
        return any(worker.state in (*BUSY, *WAITING) and is_alive(worker.pid) for worker in workers)

    def _show(self, _: Ask) -> Answer:
        there = sorted(self.ranks.windows.keys() - (self.record.removed - {1}))
        return Answer(windows=[self.shown(number) for number in there])

    def _living(self) -> set[int]:
        return {pid for pid in list(self.ranks.workers) if is_alive(pid)}

    def _workers(self, number: int) -> list[Worker]:
        return sorted(self.ranks.windows[number].values(), key=lambda worker: worker.rank)

    def shown(self, number: int) -> Shown:
        """How this window stands here."""
        left = {worker.pid for worker in self.live.left(number)}
        by_state: dict[str, list[int]] = {}
        for worker in self._workers(number):
            by_state.setdefault(_state(worker, left), []).append(worker.rank)
        return Shown(number=number, ranks=by_state, folder=str(self.record.claim.of_window(number).folder))


def _state(worker: Worker, left: set[int]) -> str:
    if worker.trace is not None:
        if isinstance(worker.outcome, str):
            return worker.outcome
        return "exported" if worker.pid in left else "published"
    if not is_alive(worker.pid):
        return "ended before"
    return f"{worker.state} ({worker.reason})" if worker.reason else worker.state


def _merged(answers: Sequence[Answer]) -> list[Shown]:
    """Windows of several launchers by their numbers."""
    found: dict[int, Shown] = {}
    for window in (window for answer in answers for window in answer.windows):
        ranks = dict(found[window.number].ranks) if window.number in found else {}
        for state, members in window.ranks.items():
            ranks[state] = sorted([*ranks.get(state, []), *members])
        found[window.number] = Shown(number=window.number, ranks=ranks, folder=window.folder)
    return [window for _, window in sorted(found.items())]


def _furthest(answers: Sequence[Answer]) -> Place:
    return _most([answer.place for answer in answers])


def _most(places: Sequence[Place]) -> Place:
    works, steps, collectives = (max((place[kind] for place in places), default=0) for kind in range(3))
    return works, steps, collectives


def _ahead(first: Place, second: Place, passed_s: float, lead_s: float) -> Place:
    """The first place that no rank has come to after so long, at the pace from the first place to the second."""
    paces = [(after - before) / passed_s for before, after in zip(first, second, strict=True)]
    works, steps, collectives = (at + 1 + math.ceil(pace * lead_s) for at, pace in zip(second, paces, strict=True))
    return works, steps, collectives
