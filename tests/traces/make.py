"""`python -m tests.traces.make` writes every file of this folder anew, and the README's table."""

from pathlib import Path

from tests.traces.cases import CASES, DUPLICATES, Case

FOLDER = Path(__file__).parent
_INTRODUCTION = """# Tiny traces, one defect or oddity each

Written by `python -m tests.traces.make` from `cases_*.py`; add a case there. Nearly all derive from
one good trace: two matrix products of 80 µs, each followed by an all-reduce of 50 µs, with 10 µs between any two.
`h200/` and `sglang/` hold real traces and a README of their own.

| file | defect or oddity | met by | what must come out |
|---|---|---|---|
"""


def readme() -> str:
    """The table of all files."""
    rows = [_row(case) for case in CASES]
    rows.append(
        "| duplicate-rank/ | two files of rank 1 | HolisticTraceAnalysis | exit code 2, one line that names both |"
    )
    return _INTRODUCTION + "\n".join(rows) + "\n"


def _row(case: Case) -> str:
    cells = (case.file, case.defect, case.source or "–", case.outcome)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def files() -> dict[str, bytes]:
    """Every file's name in this folder and its bytes."""
    return {**{case.file: case.data for case in CASES}, **DUPLICATES, "README.md": readme().encode()}


if __name__ == "__main__":
    for name, data in files().items():
        path = FOLDER / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
