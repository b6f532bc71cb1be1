"""Why something that a reader looks for is not in a run: zeros without a reason leave them alone."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from traceana.analyze.measure import RankResult
from traceana.kernels import KernelPattern
from traceana.plain import plain
from traceana.units import duration

_MOST_NAMED = 3
_LONGEST = 60


def absent(ranks: Mapping[int, RankResult]) -> list[str]:
    """Notes on missing GPU activity and communication, kernels that may be some, and patterns that match nothing."""
    without_gpu = {rank: result for rank, result in ranks.items() if result.source == "cpu"}
    return [
        *_no_gpu(without_gpu, some_have=len(without_gpu) < len(ranks)),
        *_no_communication({rank: result for rank, result in ranks.items() if rank not in without_gpu}),
        *_doubtful(ranks.values()),
        *_idle_patterns(list(ranks.values())),
    ]


def _no_gpu(ranks: Mapping[int, RankResult], *, some_have: bool) -> list[str]:
    issued = sum(result.issued for result in ranks.values())
    where = f"rank {', '.join(map(str, sorted(ranks)))}: " if some_have else ""
    if issued:
        return [
            f"{where}{issued} collectives were issued, the profiler recorded no GPU activity (ProfilerActivity.CUDA "
            "was not asked for, or CUPTI failed): when they ran and how long they took is not known"
        ]
    if ranks and not any(len(result.collectives) or result.foreign for result in ranks.values()):
        return [f"{where}no GPU activity and no collective was recorded: profile with ProfilerActivity.CUDA"]
    return []


def _no_communication(ranks: Mapping[int, RankResult]) -> list[str]:
    issued = sum(result.issued for result in ranks.values())
    if not issued or any(len(result.collectives) for result in ranks.values()):
        return []
    kernels = sum(result.kernels for result in ranks.values())
    return [
        f"{issued} collectives were issued, and none of the {kernels} kernels is known to be theirs: name them with "
        "--comm-kernel NAME=REGEX"
    ]


def _doubtful(ranks: Iterable[RankResult]) -> list[str]:
    lasted = Counter[str]()
    for result in ranks:
        lasted.update(dict(result.doubtful))
    if not lasted:
        return []
    shown = [name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name, _ in lasted.most_common(_MOST_NAMED)]
    more = ", …" if len(lasted) > _MOST_NAMED else ""
    return [
        f"{duration(lasted.total())} over all ranks count as compute, although the kernels' names have a collective's "
        f"word in them: {', '.join(map(plain, shown))}{more}; where they communicate name them with --comm-kernel "
        "NAME=REGEX, and else with --compute-kernel REGEX"
    ]


def _idle_patterns(ranks: Sequence[RankResult]) -> list[str]:
    first, *others = [result.idle_patterns for result in ranks]
    idle = [pattern for pattern in first if all(pattern in found for found in others)]
    return [
        f"{_option(pattern)} matches no kernel of this run: see the names in the report or in Perfetto"
        for pattern in idle
    ]


def _option(pattern: KernelPattern) -> str:
    regex = pattern.regex.pattern
    return f"--compute-kernel {regex}" if pattern.library is None else f"--comm-kernel {pattern.library}={regex}"
