"""How often the residual of clocks is the bound it says it is."""

import numpy as np

from tests.matching import Clocked, joint_run
from tests.unit.test_clocks import worst_error_ns
from traceana.analyze.match import match
from traceana.analyze.matched import Matching

RUNS = 200


def random_run(seed: int) -> tuple[Clocked, Matching]:
    random = np.random.default_rng(seed)
    hosts = int(random.integers(2, 5))
    each = int(random.integers(1, 4))
    host_of = {rank: f"h{rank // each}" for rank in range(hosts * each)}
    clocked = Clocked(
        host_of=host_of,
        ahead_ns={f"h{host}": int(random.integers(-(10**7), 10**7)) for host in range(hosts)},
        rate={f"h{host}": float(random.choice([0.0, random.uniform(-3e-5, 3e-5)])) for host in range(hosts)},
    )
    world = tuple(host_of)
    across = tuple(range(0, hosts * each, each))
    groups = [world, *([across] if len(across) < len(world) else [])]
    calls = int(random.choice([1, 2, 3, 5, 10, 30, 100]))
    ranks = joint_run(clocked, groups, calls, jitter_ns=float(random.choice([200, 2000, 10_000])), seed=seed)
    return clocked, match(ranks, len(world), host_of)


def test_the_residual_bounds_the_error_in_95_of_100_runs() -> None:
    within = 0
    for seed in range(RUNS):
        clocked, found = random_run(seed)
        residual = found.clocks.clock.residual_ns
        assert residual is not None
        within += worst_error_ns(clocked, found, 0) <= residual
    assert within >= 0.95 * RUNS
