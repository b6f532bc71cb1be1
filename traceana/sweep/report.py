"""What a sweep found: the value that its report.json holds field by field, and that its page and tables draw.

Times are integer nanoseconds; None means "not known". Fields are added, and never change their meaning.
"""

from msgspec import Struct

SCHEMA_VERSION = 1


class Verdict(Struct, frozen=True, kw_only=True):
    """One time against another, as in a comparison's rows: above 1 the first is faster; the interval is at 95 %."""

    speedup: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: str
    reason: str | None
    runs_needed: int | None


class Parity(Struct, frozen=True, kw_only=True):
    """Whether a cell's files are the baseline's: `same`, `close`, `differs` or `unknown`, and why in words.

    `psnr_db` is the worst of its images', `max_difference` the largest of its tensors', relative to the baseline's
    largest value.
    """

    status: str
    detail: str
    psnr_db: float | None = None
    max_difference: float | None = None


class Cause(Struct, frozen=True, kw_only=True):
    """Where the traced run's time went: a mean rank's steady step, or its window where no steps are known (`of`).

    The parts add up to `whole_ns`; `other_ns` is memory and, of a step, what the slowest rank takes longer.
    """

    of: str
    whole_ns: int
    compute_ns: int
    exposed_ns: int
    idle_ns: int
    other_ns: int
    exposed_is: tuple[tuple[str, int], ...]
    costly: str | None
    """The operation with the most exposed time."""
    backend: str
    mismatch: str | None
    """Why the trace does not show the backend that was asked for."""


class Scaling(Struct, frozen=True, kw_only=True):
    """How much of the GPUs' time does what `reference` does with fewer of them: 1 is perfect."""

    reference: str
    efficiency: float
    ci_low: float | None
    ci_high: float | None


class SweepCell(Struct, frozen=True, kw_only=True):
    """One combination of settings. `values_ns` are the metric of its repeats, one run each, in order.

    `time_ns` stands for them: their geometric mean. `place` counts from 1; cells whose time cannot be told from the
    fastest one's are `tied`. `against_baseline` is None for the baseline, and without a value.
    """

    label: str
    name: str
    settings: tuple[tuple[str, str], ...]
    gpus: int | None
    values_ns: tuple[int, ...]
    warm_up_ns: int | None
    warm_up_counts: bool
    time_ns: int | None
    low_ns: int | None
    high_ns: int | None
    gpu_time_ns: int | None
    place: int | None
    tied: bool
    pareto: bool
    against_baseline: Verdict | None
    scaling: Scaling | None
    parity: Parity | None
    cause: Cause | None
    peak_memory_bytes: int | None
    failure: str | None
    last_lines: tuple[str, ...]
    shell: tuple[str, ...]
    commits: tuple[str, ...] = ()
    """Of the program, where sglang's perf dumps tell them."""


class Effect(Struct, frozen=True, kw_only=True):
    """What one choice of an axis is worth over the axis' first one, mean over the `pairs` of cells that differ in
    nothing else; `least` and `most` are the single pairs' speed-ups."""

    axis: str
    choice: str
    over: str
    pairs: int
    least: float
    most: float
    verdict: Verdict


class ExpectedGain(Struct, frozen=True, kw_only=True):
    """The part of the time that a choice saves over another, expected and measured with its interval at 95 %."""

    cell: str
    over: str
    low: float
    high: float
    measured: float
    ci_low: float | None
    ci_high: float | None
    verdict: str
    """as expected, more, less, or cannot tell."""


class SearchRound(Struct, frozen=True, kw_only=True):
    """One round of a search: the settings that ran, and those that were kept, the fastest first."""

    ran: tuple[str, ...]
    kept: tuple[str, ...]


class Searched(Struct, frozen=True, kw_only=True):
    """What `traceana tune` did before it confirmed the cells of the report.

    `settings` is how many the space has, `tried` how many ran. `left_out` says in words what was never run and why.
    `ceiling` is the part of the time that is exposed communication, which no setting can gain more than; None where
    no trace tells it.
    """

    settings: int
    tried: int
    ceiling: float | None
    left_out: tuple[str, ...]
    rounds: tuple[SearchRound, ...]


class SweepReport(Struct, frozen=True, kw_only=True):
    """A sweep. `cells` are in order of their place, those that failed last."""

    schema_version: int
    traceana_version: str
    name: str
    command: tuple[str, ...]
    metric: str
    metric_title: str
    axes: tuple[tuple[str, tuple[str, ...]], ...]
    repeats: int
    baseline: str
    sentence: str
    winner: str | None
    """The fastest cell whose output is not another; None where none ran through."""
    unfinished: str | None
    cells: tuple[SweepCell, ...]
    effects: tuple[Effect, ...]
    expected: tuple[ExpectedGain, ...]
    versions: tuple[tuple[str, str], ...]
    hardware: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    """What all cells began with of the variables that change communication."""
    search: Searched | None = None
    """None for a sweep."""
