"""What the names of trace files say: a rank, a host, and which window of a rank it is.

Names that people and programs use: `rank0.json`, `trace_rank[3].json`, `global_rank1-….json`, `r0-….json`;
`HOST_PID.TIME.pt.trace.json` (torch's tensorboard_trace_handler, whose HOST_PID is `worker_name` where one is given);
`TIME-TP-0-DP-0-PP-0-EP-0-EXTEND.trace.json.gz` (sglang's scheduler_profiler_mixin);
`dp0_pp0_tp1_dcp0_ep1_rank1.TIME.pt.trace.json.gz` (vLLM's gpu_worker).
"""

import re
from collections import Counter
from collections.abc import Container, Sequence
from pathlib import Path

_ENDINGS = re.compile(r"(?:\.pt)?(?:\.trace)?\.json(?:\.gz)?$", re.IGNORECASE)
_RANK = re.compile(
    r"(?<![a-z])(?:(?P<axis>[a-z]+)(?:[-_ ]+|(?<=global)|(?<=world)|(?<=local)))?"
    r"rank[-_ =\[(]*(?P<rank>\d{1,6})(?!\d)",
    re.IGNORECASE,
)
# Words before "rank" that make it a place on one axis of the job, or on one machine.
_AXES = {"tp", "pp", "dp", "ep", "cp", "sp", "dcp", "moe", "local", "node", "group", "machine", "host"}
_RANK_WORDS = {"rank", "r", "tp"}
_TIME = re.compile(r"(?<!\d)(\d{10,19})(?:\.(\d+))?(?!\d)")
_SECONDS_DIGITS = 10
_NUMBER = re.compile(r"([A-Za-z]*)[-_ =\[(.]*(?<!\d)(\d{1,6})(?!\d)")
_TOKEN = re.compile(r"[A-Za-z]+[-_ \[(]*(?<!\d)\d{1,6}(?!\d)|[A-Za-z]+|(?<!\d)\d{1,6}(?!\d)")
_HOST = re.compile(r"(?P<host>.+)_(?P<number>\d+)\.\d+(?:\.\d+)?\.pt\.trace\.json(?:\.gz)?")
_RANK_FOR_HOST = re.compile(r"(?:(?:global|local)?[-_]?rank|tp|pp|dp|ep|r)(?:[-_]?\d.*)?", re.IGNORECASE)
_WORKER_FOR_HOST = re.compile(r"(?:worker|trainer|gpu|cuda|device|proc|process)", re.IGNORECASE)


def stem(path: Path) -> str:
    """The name without `.pt.trace.json.gz` and the like."""
    return _ENDINGS.sub("", path.name)


def stated_rank(name: str) -> int | None:
    """The global rank that a name states in so many words, or None where it states none, or several."""
    found = [(match["axis"] or "", int(match["rank"])) for match in _RANK.finditer(name)]
    whole = {rank for axis, rank in found if axis.lower() in ("global", "world")}
    ranks = whole or {rank for axis, rank in found if axis.lower() not in _AXES}
    return ranks.pop() if len(ranks) == 1 else None


def ranks_by_number(
    names: Sequence[str], known: Sequence[int | None], peers: Container[int] = ()
) -> Sequence[int] | None:
    """Ranks by the one number that differs between the names of a run, or None where no number is surely the rank.

    It agrees with the ranks that are `known`; where none is, it is called a rank, its values are 0, 1, … to the last,
    or all of them are among `peers`, the ranks that the files name. With stages of a pipeline the rank is stage × ranks
    of tensor parallelism + place among those (sglang's `tp_size * pp_rank + tp_rank`).
    """
    columns = {column: values for column, values in _columns(names).items() if len(set(values)) > 1}
    if ("pp", 0) in columns and ("tp", 0) in columns:
        stages, places = columns[("pp", 0)], columns[("tp", 0)]
        size = max(places) + 1
        columns = {("rank", 0): tuple(stage * size + place for stage, place in zip(stages, places, strict=True))}
    fitting = {column: values for column, values in columns.items() if _agree(values, known)}
    called = {values for (word, _), values in fitting.items() if word in _RANK_WORDS}
    is_known = any(rank is not None for rank in known)
    counting = {values for values in fitting.values() if is_known or _count(values) or all(v in peers for v in values)}
    for found in (called, counting):
        if len(found) == 1:
            return found.pop()
    return None


def _columns(names: Sequence[str]) -> dict[tuple[str, int], tuple[int, ...]]:
    """By the word before it, and how often that came before, each number that stands in all the names."""
    rows = []
    for name in names:
        seen: Counter[str] = Counter()
        row = {}
        for match in _NUMBER.finditer(_TIME.sub("", name)):
            word = match[1].lower()
            row[word, seen[word]] = int(match[2])
            seen[word] += 1
        rows.append(row)
    shared = [column for column in rows[0] if all(column in row for row in rows)]
    return {column: tuple(row[column] for row in rows) for column in shared}


def _count(values: Sequence[int]) -> bool:
    return set(values) == set(range(len(set(values))))


def _agree(values: Sequence[int], known: Sequence[int | None]) -> bool:
    return all(rank is None or rank == value for rank, value in zip(known, values, strict=True))


def time_stamp(name: str) -> int | None:
    """The time in a name in ns since the epoch, whether it counts s, ms, µs or ns; None where there is none."""
    found = _TIME.search(name)
    if found is None:
        return None
    whole, fraction = found[1], found[2] or ""
    return int((whole + fraction if len(whole) == _SECONDS_DIGITS else whole).ljust(19, "0")[:19])


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, each with its number, in their order; times are left out."""
    return tuple(_TOKEN.findall(_TIME.sub("", name)))


def host(name: str, rank: int) -> str | None:
    """The host in `HOST_PID.TIME.pt.trace.json`, or None where the words before the time name a rank or a worker."""
    found = _HOST.fullmatch(name)
    if found is None or _RANK_FOR_HOST.fullmatch(found["host"]):
        return None
    is_worker = _WORKER_FOR_HOST.fullmatch(found["host"]) and int(found["number"]) == rank
    return None if is_worker else found["host"]
