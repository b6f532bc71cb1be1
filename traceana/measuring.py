"""From paths to measured ranks: in a pool, one task a file, or by parts that were measured elsewhere.

Apart from what joins ranks, which a process need not import before others read for it.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import itemgetter
from pathlib import Path

# np.unique looks for masked arrays, and what a pool's processes import after it began, each imports by itself.
import numpy.ma  # noqa: F401
from msgspec.structs import replace

from traceana.analyze.measure import RankResult
from traceana.errors import TraceanaError
from traceana.plug_ins import added_patterns
from traceana.pool import Progress, each
from traceana.saved import parts
from traceana.saved.cache import cached, measure_and_keep
from traceana.saved.contents import Content
from traceana.saved.inputs import Inputs, inputs
from traceana.saved.part_index import parts_at
from traceana.saved.parts import Measured
from traceana.settings import Settings
from traceana.trace.discover import Discovery

_ALL = (1, 1)


def measured_or_parts(paths: Sequence[Path], settings: Settings, progress: Progress) -> Measured:
    """What the parts at `paths` hold, or what is measured of the traces below them.

    Raises TraceanaError where there is neither.
    """
    measured = parts_at(paths)
    return read_parts(measured, settings) if measured else measure(paths, settings, progress)


def read_parts(paths: Sequence[Path], settings: Settings) -> Measured:
    """What parts hold. Raises TraceanaError as `parts.read` does, and for patterns, which came too late."""
    if settings.own_patterns:
        raise TraceanaError(f"{paths[0]} is measured already; give --comm-kernel to `traceana measure`")
    part = parts.read(paths)
    _check_baseline(part.found, settings.baseline)
    return part


def measure(
    paths: Sequence[Path],
    settings: Settings,
    progress: Progress,
    share: tuple[int, int] = _ALL,
) -> Measured:
    """Measure the traces below `paths`, or the n-th of m shares of them. Raises TraceanaError where there are none."""
    return measure_inputs(inputs(paths, cache=settings.cache, share=share), settings, progress)


def measure_inputs(
    seen: Inputs, settings: Settings, progress: Progress, meanwhile: Callable[[], None] = lambda: None
) -> Measured:
    """Measure what was found; `meanwhile` runs here while other processes read.

    Raises TraceanaError where there is no run of the baseline's name.
    """
    _check_baseline(seen.found, settings.baseline)
    settings = replace(settings, own_patterns=(*settings.own_patterns, *added_patterns()))
    return Measured(
        found=seen.found,
        results=_measure(seen, settings, progress, meanwhile),
        perf_dumps=seen.perf_dumps,
        paired=seen.paired,
    )


def _check_baseline(found: Discovery, baseline: str | None) -> None:
    labels = list(dict.fromkeys(run.side for run in found.runs))
    if baseline is not None and baseline not in [*labels, *(run.label for run in found.runs)]:
        raise TraceanaError(f"--baseline {baseline}: no such run; the runs are {', '.join(labels)}")


def _measure(
    seen: Inputs, settings: Settings, progress: Progress, meanwhile: Callable[[], None]
) -> dict[Path, RankResult | TraceanaError]:
    known = _known(seen.contents, settings)
    measure = partial(measure_and_keep, own_patterns=settings.own_patterns)
    new = [(file, seen.contents.get(file)) for file in seen.files if file not in known]
    results = each(
        measure, new, settings.workers, progress, name=itemgetter(0), meanwhile=meanwhile, engine=settings.engine
    )
    return {**known, **dict(zip((file for file, _ in new), results, strict=True))}


def _known(contents: Mapping[Path, Content], settings: Settings) -> dict[Path, RankResult]:
    """Ranks that were measured before."""
    found = {path: cached(path, content, settings.own_patterns) for path, content in contents.items()}
    return {path: result for path, result in found.items() if result is not None}
