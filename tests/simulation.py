"""Sides of runs drawn from a stated truth, without trace files: quick enough for hundreds of seeds."""

import msgspec
import numpy as np
from msgspec.structs import replace

from tests.reports import MIB
from tests.reports import run as report_of
from traceana.analyze.calls import Calls
from traceana.analyze.collectives import C10D, Signature
from traceana.analyze.run import AnalyzedRun
from traceana.comparing.comparison import compare
from traceana.comparing.sides import Side
from traceana.report import Comparison, StepTime
from traceana.trace.columns import Ints

RANKS = 4
STRAGGLER = 2
SMALL, MEDIUM, LARGE = MIB // 2, 4 * MIB, 32 * MIB
KEYS = tuple((op, size) for op in ("all_gather", "all_reduce", "all_to_all") for size in (SMALL, MEDIUM, LARGE))
_BYTES_PER_NS = 40
_LATENCY_NS = 20_000
_REPORT = report_of("run", ranks=RANKS)
_STEP_NS = 40_000_000
_APART_NS = 20_000_000
"""From start to start: longer than any call, so that none runs beside another."""


class Truth(msgspec.Struct, frozen=True, kw_only=True):
    """A side. `gain` is the part of the time by which transfers are shorter, by size; noises are of logarithms.

    `run_noise` strikes all of a run and each of its rows, `step_noise` a step, `call_noise` a call; one call in fifty
    takes up to three times as long. `late_ns` is by how much the straggler is late on average. `hidden` is the part of
    a transfer that compute covers.
    """

    repeats: int = 5
    steps: int = 20
    calls: int = 2
    gain: dict[int, float] = msgspec.field(default_factory=dict)
    run_noise: float = 0.01
    step_noise: float = 0.02
    call_noise: float = 0.05
    late_ns: int = 0
    hidden: float = 0.0


def compared(seed: int, baseline: Truth, candidate: Truth) -> Comparison:
    """Two sides drawn and compared."""
    random = np.random.default_rng(seed)
    return compare(side("torch", baseline, random), side("pynccl", candidate, random))


def side(label: str, truth: Truth, random: np.random.Generator) -> Side:
    """Draw the runs of one side."""
    runs = (_run(f"{label}.{number}", label, number, truth, random) for number in range(1, truth.repeats + 1))
    return Side(label=label, runs=tuple(runs))


def _run(label: str, side_label: str, number: int, truth: Truth, random: np.random.Generator) -> AnalyzedRun:
    """Axes of the draws: step, key, call, rank."""
    shape = (truth.steps, len(KEYS), truth.calls)
    transfer = _transfers(truth, shape, random)
    late = random.exponential(truth.late_ns, shape) if truth.late_ns else np.zeros(shape)
    wait = np.repeat(late[..., None], RANKS, axis=3)
    wait[..., STRAGGLER] = 0
    spread = transfer[..., None] * random.uniform(0.98, 1.0, (*shape, RANKS))
    report = replace(_REPORT, label=label, side=side_label, repeat=number, steps=_steps(truth, transfer, late, random))
    return AnalyzedRun(report=report, calls=_calls(truth, spread.astype(np.int64), wait.astype(np.int64)))


def _transfers(truth: Truth, shape: tuple[int, int, int], random: np.random.Generator) -> np.ndarray:
    typical = np.array([_LATENCY_NS + size / _BYTES_PER_NS for _, size in KEYS])
    typical *= [1 - truth.gain.get(size, 0) for _, size in KEYS]
    log = random.normal(0, truth.run_noise) + random.normal(0, truth.run_noise, (1, len(KEYS), 1))
    log = log + random.normal(0, truth.step_noise, (truth.steps, 1, 1)) + random.normal(0, truth.call_noise, shape)
    slow = random.random(shape) < 0.02
    warm_up = np.where(np.arange(truth.steps) == 0, 3.0, 1.0)[:, None, None]
    return np.asarray(typical[None, :, None] * np.exp(log) * np.where(slow, random.uniform(1, 3, shape), 1) * warm_up)


def _steps(truth: Truth, transfer: np.ndarray, late: np.ndarray, random: np.random.Generator) -> tuple[StepTime, ...]:
    exposed = ((1 - truth.hidden) * transfer + late).sum(axis=(1, 2))
    compute = _STEP_NS * np.exp(random.normal(0, truth.run_noise / 4) + random.normal(0, 0.005, truth.steps))
    return tuple(
        StepTime(
            name=f"denoise_step {index}",
            duration_ns=int(compute[index] + exposed[index]),
            exposed_comm_ns=int(exposed[index]),
            compute_ns=int(compute[index]),
            warm_up=index == 0,
        )
        for index in range(truth.steps)
    )


def _calls(truth: Truth, transfer: Ints, wait: Ints) -> Calls:
    """One row a rank's call, rank by rank in order of time."""
    by_rank = np.moveaxis(transfer, 3, 0), np.moveaxis(wait, 3, 0)
    step, key, _ = np.indices(transfer.shape[:3])
    collectives = step.size
    step_of_call = np.tile(step.ravel(), RANKS)
    transfers, waits = (values.reshape(-1) for values in by_rank)
    return Calls(
        rank=np.repeat(np.arange(RANKS), collectives),
        start_ns=np.tile(np.arange(collectives) * _APART_NS, RANKS),
        duration_ns=transfers + waits,
        exposed_ns=(transfers * (1 - truth.hidden)).astype(np.int64) + waits,
        slowed_ns=np.zeros_like(waits),
        wait_ns=waits,
        transfer_ns=transfers,
        matched=np.ones(len(transfers), dtype=np.bool_),
        collective=np.tile(np.arange(collectives), RANKS),
        seq=np.tile(np.arange(collectives), RANKS),
        step=step_of_call,
        warm_up=step_of_call == 0,
        signature=np.tile(key.ravel(), RANKS),
        site=np.full(len(transfers), -1, dtype=np.int64),
        sites=(),
        module=np.full(len(transfers), -1, dtype=np.int64),
        modules=(),
        signatures=tuple(_signature(op, size) for op, size in KEYS),
    )


def _signature(op: str, size: int) -> Signature:
    return Signature(
        op=op,
        dtype="BFloat16",
        message_bytes=size,
        group_size=RANKS,
        group=tuple(range(RANKS)),
        group_name="0",
        backend=C10D,
        library="nccl",
    )
