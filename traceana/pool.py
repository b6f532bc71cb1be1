"""Tasks in a pool: one a file, on this machine or on an engine that runs already."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from typing import TypeVar

from traceana.errors import TraceanaError

Item = TypeVar("Item")
Result = TypeVar("Result")
Progress = Callable[[int, int, str], None]
"""Called with tasks done, tasks in all, and the one that was done last."""
DASK = "dask:"


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

    The pool are `workers` processes, 0 for one a core, or an `engine` such as dask:tcp://host:8786.

    Raises TraceanaError where the engine cannot be reached.
    """
    with _executor(workers, engine, len(items)) as executor:
        tasks: dict[Future[Result], Item] = {executor.submit(function, item): item for item in items}
        meanwhile()
        for done, task in enumerate(as_completed(tasks), start=1):
            progress(done, len(items), str(name(tasks[task])))
        results: list[Result | TraceanaError] = []
        for task in tasks:
            outcome = _result(task)
            results.append(outcome)
        return results


def _result(task: "Future[Result]") -> Result | TraceanaError:
    try:
        return task.result()
    except TraceanaError as error:
        return error


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
        except TraceanaError as error:
            future.set_exception(error)
        return future
