"""Tasks in a pool: one a file, on this machine or on an engine that runs already; or one a rank that was read."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

from traceana.analyze.spread import Spread, always, here
from traceana.errors import TraceanaError

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]
"""Called with tasks done, tasks in all, and the one that was done last."""
DASK = "dask:"
_MOST_BESIDE = 4
"""Processes beside this one, which cannot keep more of them busy with what it has read."""


def each(
    function: Callable[[Item], Result],
    items: Sequence[Item],
    workers: int,
    progress: Progress,
    name: Callable[[Item], object] = lambda item: item,
    meanwhile: Callable[[], None] = lambda: None,
    engine: str | None = None,
) -> list[Result | TraceanaError]:
    """Results of a top-level function, called in a pool on every item; a TraceanaError takes its result's place.

    The pool are `workers` processes, 0 for one a core, or an `engine` such as dask:tcp://host:8786. An item whose
    process dies, or finds no memory, is tried once more by itself; where that fails too, it alone has no result.

    Raises TraceanaError where the engine cannot be reached.
    """
    with _executor(workers, engine, len(items)) as executor:
        tasks: dict[Future[Result], Item] = {_submitted(executor, function, item): item for item in items}
        meanwhile()
        for done, task in enumerate(as_completed(tasks), start=1):
            progress(done, len(items), str(name(tasks[task])))
    lost = (BrokenExecutor, MemoryError) if engine is None else (BrokenExecutor, MemoryError, _killed_worker())
    results: list[Result | TraceanaError] = []
    for task, item in tasks.items():
        outcome = _result(task, lost)
        results.append(_alone(function, item, name(item)) if outcome is None else outcome)
    return results


@contextmanager
def spread(workers: int) -> Iterator[Spread]:
    """A way to spread work over `workers` processes, 0 for one a core, with little of it in memory at a time.

    What is asked of a process that dies, or finds no memory, is done here.
    """
    count = min(workers or os.cpu_count() or 1, _MOST_BESIDE)
    if count > 1:
        with ProcessPoolExecutor(count) as executor:
            yield partial(_in_order, executor, 2 * count)
    else:
        yield here


def _in_order(
    executor: Executor,
    most: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
    worth: Callable[[Item], bool] = always,
) -> Iterator[Result]:
    ahead: deque[tuple[Item, Future[Result]]] = deque()
    for item in items:
        ahead.append((item, _submitted(executor if worth(item) else _InProcess(), function, item)))
        if len(ahead) > most:
            yield _outcome(function, *ahead.popleft())
    while ahead:
        yield _outcome(function, *ahead.popleft())


def _outcome(function: Callable[[Item], Result], item: Item, task: "Future[Result]") -> Result:
    try:
        return task.result()
    except (BrokenExecutor, MemoryError):
        return function(item)


def _submitted(executor: Executor, function: Callable[[Item], Result], item: Item) -> "Future[Result]":
    try:
        return executor.submit(function, item)
    except BrokenExecutor as error:
        # A process died while tasks were still being given out.
        task: Future[Result] = Future()
        task.set_exception(error)
        return task


def _result(task: "Future[Result]", lost: tuple[type[BaseException], ...]) -> Result | TraceanaError | None:
    """What became of a task, or None where its process died or found no memory."""
    try:
        return task.result()
    except TraceanaError as error:
        return error
    except lost:
        return None


def _alone(function: Callable[[Item], Result], item: Item, name: object) -> Result | TraceanaError:
    """The item in a process of its own, with all of the memory: a pool does not tell whose process died."""
    try:
        with ProcessPoolExecutor(1) as pool:
            return pool.submit(function, item).result()
    except TraceanaError as error:
        return error
    except BrokenExecutor:
        return TraceanaError(f"{name}: the process that read it was killed, as happens where memory runs out")
    except MemoryError:
        return TraceanaError(f"{name}: takes more memory than this machine gives; read it on a larger one")


def _killed_worker() -> type[BaseException]:
    from distributed import KilledWorker

    killed: type[BaseException] = KilledWorker
    return killed


@contextmanager
def _executor(workers: int, engine: str | None, tasks: int) -> Iterator[Executor]:
    count = min(workers or os.cpu_count() or 1, tasks)
    if engine is not None and tasks:
        with _dask(engine) as pool:
            yield pool
    elif count > 1:
        with ProcessPoolExecutor(count) as pool:
            yield pool
    else:
        yield _InProcess()


@contextmanager
def _dask(engine: str) -> Iterator[Executor]:
    """A scheduler's workers, which read the files themselves: paths must mean the same there."""
    if not engine.startswith(DASK):
        raise TraceanaError(f"--executor {engine}: name an engine and its address, such as dask:tcp://host:8786")
    try:
        from distributed import Client
    except ImportError as error:
        raise TraceanaError("--executor dask: needs Dask; pip install 'traceana[dask]'") from error
    address = engine.removeprefix(DASK)
    try:
        client = Client(address, timeout="10s", set_as_default=False)
    except (OSError, ValueError) as error:
        raise TraceanaError(f"--executor {engine}: no scheduler answers there ({error})") from error
    with client, client.get_executor(pure=False) as pool:
        yield pool


class _InProcess(Executor):
    """Runs each task when it is submitted: a pool costs more than it saves on one file."""

    def submit(self, fn, /, *args, **kwargs):  # type: ignore[no-untyped-def]
        future: Future[object] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except (TraceanaError, MemoryError) as error:
            future.set_exception(error)
        return future
