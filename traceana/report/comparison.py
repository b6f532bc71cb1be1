"""Two sides compared."""

import msgspec


class ComparisonRow(msgspec.Struct, frozen=True, kw_only=True):
    """One operation at one size on both sides; `message_bytes` None compares the operation over all its calls.

    `group_size` is the number of ranks in the calls' process groups, None where it is not known or not the same on both
    sides.

    Times and statistics are of the steady state: the first step and the first call of each kind are left out and
    counted as warm-up. `speedup` is baseline over candidate, so above 1 the candidate is faster; `ci_low` and `ci_high`
    bound it at 95 % for this row alone; the p50s whose quotient it is are geometric means, over runs or else stretches
    of a run, of medians, and it is 0 without a time to divide by. `p_value` is against "equally fast", adjusted by Holm
    over all rows of the comparison. `basis` says what was compared: `transfer`, or `duration` where fewer than 90 %
    were matched across ranks. `verdict` is faster, slower, no difference, or cannot tell; then `reason` says why and
    `runs_needed` how many runs a side would settle it, where that can be estimated; with one run a side it is never
    faster or slower, and `p_value` is None. `expected_low` and `expected_high` are the speed-ups that the guide expects
    of PyNccl over torch.distributed at this size, None for other backends and without a GPU.
    """

    op: str
    message_bytes: int | None
    basis: str
    baseline_count: int
    candidate_count: int
    """Steady calls, per rank and summed over ranks and runs."""
    baseline_warm_up: int
    candidate_warm_up: int
    baseline_p50_ns: int
    candidate_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: str
    reason: str | None
    runs_needed: int | None
    baseline_exposed_ns: int
    candidate_exposed_ns: int
    """Exposed time of these calls in the steady state, waiting included: mean over ranks and runs, a step
    (`Comparison.worth_per`)."""
    worth_ns: int | None
    """By how much exposed time falls with the candidate, and what compute beside the calls takes longer where that is
    certain (`Comparison.overlap_price_known`), negative where it rises; never against the row's speed-up: 0
    where it moves the other way by chance, None where it truly does, where other communication beside these calls
    shares their exposed time, or where ranks, calls or windows differ."""
    expected_low: float | None
    expected_high: float | None
    group_size: int | None = None
    worth_reason: str | None = None
    """Why the worth is not known."""
    control: bool = False
    """Whether it is control traffic: calls of at most 16 bytes on the host, beside larger ones."""


class StepComparison(msgspec.Struct, frozen=True, kw_only=True):
    """One end-to-end time on both sides; fields as in ComparisonRow.

    `metric` is `step` or `request` (the time of one), `exposed` (exposed communication a step, waiting included; less
    than 1 µs counts as 1 µs in the speed-up, and a difference of less than 1 µs is none),
    `perf request` (the whole request by sglang's perf dumps) or `perf step` (its denoising steps). `name` is the
    span's. Counts are of steady executions over all runs.
    """

    metric: str
    name: str
    baseline_count: int
    candidate_count: int
    baseline_p50_ns: int
    candidate_p50_ns: int
    speedup: float
    ci_low: float | None
    ci_high: float | None
    p_value: float | None
    verdict: str
    reason: str | None
    runs_needed: int | None


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """Two sides, each of one or more runs; `baseline` and `candidate` are the sides' names.

    `reasons` say why a comparison is not fair, `noise` what makes its times unsteady. `rows` are ordered by the size
    of their worth, the largest first, those whose worth is not known last, and control traffic behind all.
    """

    baseline: str
    candidate: str
    baseline_runs: tuple[str, ...]
    candidate_runs: tuple[str, ...]
    """Labels of the runs."""
    interval_basis: str
    """`repeats` (three or more a side: intervals tell what another run would bring) or `calls` (they do not)."""
    worth_per: str
    """`step`, or `run` where no steps are marked on both sides."""
    sentence: str
    """The verdict in a sentence or two."""
    comparable: bool
    reasons: tuple[str, ...]
    noise: tuple[str, ...]
    end_to_end: tuple[StepComparison, ...]
    rows: tuple[ComparisonRow, ...]
    only_baseline: tuple[str, ...]
    """Operations and sizes that only the baseline has, in words."""
    only_candidate: tuple[str, ...]
    overlap_price_known: bool = False
    """Whether what overlap costs compute is known on both sides, be it nothing, and so counted in each worth."""

    @property
    def payload(self) -> tuple[ComparisonRow, ...]:
        """The rows that answers speak of: all but control traffic."""
        return tuple(row for row in self.rows if not row.control)

    @property
    def certain(self) -> tuple[ComparisonRow, ...]:
        """The rows of payload that are faster or slower."""
        return tuple(row for row in self.payload if row.verdict in ("faster", "slower"))

    @property
    def certain_worth_ns(self) -> int | None:
        """What the certain differences save together, negative where they cost; None where it is not known of each."""
        known = [row.worth_ns for row in self.certain if row.worth_ns is not None]
        return sum(known) if len(known) == len(self.certain) else None

    @property
    def one_run_a_side(self) -> bool:
        """Then no row and no time is faster or slower."""
        return len(self.baseline_runs) == len(self.candidate_runs) == 1

    @property
    def several_groups(self) -> bool:
        """Whether rows must be told apart by their groups' sizes."""
        return len({row.group_size for row in self.rows} - {None}) > 1
