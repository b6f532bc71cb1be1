"""How much of the lost time of every real trace has no cause: `python -m tests.unexplained` prints it.

TRACEANA_REAL_TRACES names a folder of more traces; by default it is looked for beside the project.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import asdict

from traceana.pipeline import analyze
from traceana.report import ExposedIs, IdleBy, RankReport, UncoveredBy
from traceana.settings import Settings

ROOT = Path(__file__).parents[1]
OWN = ROOT / "tests" / "traces"
OTHERS = Path(os.environ.get("TRACEANA_REAL_TRACES", ROOT / ".." / "shared" / "traces"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One question of one rank: the ns of each cause that has any, and the time that they explain."""

    rank: int
    question: str
    whole_ns: int
    causes: dict[str, int]

    @property
    def unexplained(self) -> float:
        """The share without a cause, from 0 to 1."""
        return self.causes.get("unexplained", 0) / max(self.whole_ns, 1)

    def __str__(self) -> str:
        parts = ", ".join(f"{name} {ns / max(self.whole_ns, 1):.1%}" for name, ns in self.causes.items())
        return f"rank {self.rank} {self.question} {self.whole_ns / 1e6:.2f} ms: {parts}"


def real_runs() -> tuple[Path, ...]:
    """Folders of this repository's runs, then files and folders of others' where they are there."""
    own = [
        path
        for folder in ("h100", "h200", "h200x2")
        for path in sorted((OWN / folder).iterdir())
        if (path / "rank0.json.gz").exists()
    ]
    known = {path.name for path in own if path.parent.name == "h200"}
    others = [path for path in sorted(OTHERS.glob("h200*/*")) if path.is_dir() and path.name not in known]
    return (*own, *others, *sorted((OTHERS / "public").glob("*.json.gz")))


def answers(path: Path) -> Iterator[Answer]:
    """What is said of each rank of a run; nothing of traces of the host."""
    (run,) = analyze((path,), Settings(workers=1), lambda *_: None).report.runs
    for rank in run.ranks:
        yield from _of_rank(rank)


def _of_rank(rank: RankReport) -> Iterator[Answer]:
    asked: tuple[tuple[str, int, ExposedIs | UncoveredBy | IdleBy | None], ...] = (
        ("exposed", rank.exposed_comm_ns, rank.exposed_is),
        ("uncovered", rank.exposed_comm_ns, rank.uncovered_by),
        ("idle", rank.idle_ns, rank.idle_by),
    )
    for question, whole_ns, found in asked:
        if found is not None:
            causes = {name.removesuffix("_ns"): ns for name, ns in asdict(found).items() if ns}
            yield Answer(rank=rank.rank, question=question, whole_ns=whole_ns, causes=causes)


if __name__ == "__main__":
    for trace in real_runs():
        print(trace)
        for one in answers(trace):
            print("   ", one)
