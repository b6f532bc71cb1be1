"""What a check found."""

from collections.abc import Callable, Iterable, Sequence
from typing import Literal

import msgspec

from traceana.errors import TraceanaError

Level = Literal["ok", "warning", "failure", "could not check"]
LEVELS: tuple[Level, ...] = ("failure", "warning", "could not check", "ok")
"""The gravest first."""


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line: `evidence` is what was seen, `advice` what to do; None where there is nothing to do."""

    check: str
    level: Level
    evidence: str
    advice: str | None = None


Check = tuple[str, Callable[[], Iterable[Finding]]]
"""What a check is called where it cannot be made, and the check, which may raise OSError or TraceanaError."""


def ok(check: str, evidence: str) -> Finding:
    """Nothing stands in the way."""
    return Finding(check=check, level="ok", evidence=evidence)


def warning(check: str, evidence: str, advice: str) -> Finding:
    """Figures may not be what the user takes them for."""
    return Finding(check=check, level="warning", evidence=evidence, advice=advice)


def failure(check: str, evidence: str, advice: str) -> Finding:
    """What was asked for cannot work, or figures are certainly not what they seem."""
    return Finding(check=check, level="failure", evidence=evidence, advice=advice)


def unknown(check: str, evidence: str, advice: str | None = None) -> Finding:
    """Nothing can be said, and why."""
    return Finding(check=check, level="could not check", evidence=evidence, advice=advice)


def failed(findings: Iterable[Finding]) -> bool:
    """Whether a failure is among them."""
    return any(finding.level == "failure" for finding in findings)


def gathered(checks: Sequence[Check]) -> list[Finding]:
    """The findings of all checks; one that cannot be made says so, and the others are made."""
    found: list[Finding] = []
    for name, check in checks:
        try:
            found += check()
        except (OSError, TraceanaError) as error:
            found.append(unknown(name, str(error)))
    return found
