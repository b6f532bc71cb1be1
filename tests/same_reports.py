"""Whether a change left every number as it was: the reports of all traces, before and after.

    python -m tests.same_reports write FOLDER [TRACES]   analyze every run and file of TRACES, tests/traces by default
    python -m tests.same_reports BEFORE AFTER            print what differs between two such folders; exit code 1 if any

Write with one checkout after the other; TRACES is relative to a checkout, so that reports name the same paths.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.commands import run

REPORT = "report.json"
TRACES = Path("tests", "traces")
ABSENT = "absent"
_LONGEST = 80


def write(target: Path, traces: Path) -> None:
    """A report for each run and for each trace that is no run's; what cannot be read leaves its message."""
    for source in sorted(_sources(traces)):
        folder = target / source.relative_to(traces)
        code, _, stderr = run("analyze", source, "-o", folder, "--workers", "1")
        if code:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / REPORT).write_text(json.dumps({"exit_code": code, "message": stderr}))
        print(f"{source}: exit code {code}")


def _sources(traces: Path) -> Iterator[Path]:
    files = [path for path in traces.rglob("*.json*") if path.name.endswith((".json", ".json.gz"))]
    files = [path for path in files if path.name not in ("run.json", REPORT)]
    runs = {path.parent for path in files if re.search(r"rank\D?\d+", path.name) and path.parent != traces}
    return iter(runs | {path for path in files if path.parent not in runs})


def differences(before: Any, after: Any, place: str = "") -> Iterator[tuple[str, str, str]]:
    """Place, value before and value after of everything in which two documents differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{place}.{key}")
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for index, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from differences(one, other, f"{place}[{index}]")
    elif before != after or type(before) is not type(after):
        yield place, _shortened(before), _shortened(after)


def _shortened(value: Any) -> str:
    if value is ABSENT:
        return str(value)
    text = f"{len(value)} entries" if isinstance(value, list) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def compare(before: Path, after: Path) -> int:
    """Print the first difference of each field of each report, then the fields that are new; returns what changed."""
    new: Counter[str] = Counter()
    changed = 0
    names = {path.relative_to(folder).parent for folder in (before, after) for path in folder.rglob(REPORT)}
    for name in sorted(names):
        found = list(differences(_read(before / name), _read(after / name)))
        new.update(_field(place) for place, one, _ in found if one == ABSENT)
        changes = [difference for difference in found if difference[1] != ABSENT]
        fields = Counter(_field(place) for place, _, _ in changes)
        for place, one, other in {_field(change[0]): change for change in reversed(changes)}.values():
            print(f"{name}: {place.lstrip('.')}: {one} -> {other} ({fields[_field(place)]} of this field)")
        changed += len(changes)
    for field, count in sorted(new.items()):
        print(f"new: {field.lstrip('.')} ({count})")
    print(f"{len(names)} reports, {changed} changes")
    return changed


def _field(place: str) -> str:
    return re.sub(r"\[\d+\]", "[]", place)


def _read(folder: Path) -> Any:
    path = folder / REPORT
    return json.loads(path.read_text()) if path.exists() else {}


def main(words: list[str]) -> None:
    """As told by the module's docstring."""
    if len(words) in (2, 3) and words[0] == "write":
        write(Path(words[1]), Path(words[2]) if len(words) == 3 else TRACES)
    elif len(words) == 2:
        sys.exit(int(compare(Path(words[0]), Path(words[1])) > 0))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
