"""From a plan to its cells: every combination of the axes that the constraints allow."""

import hashlib
import itertools
import re
import shlex
from collections.abc import Mapping, Sequence

import msgspec
from traceana_capture.launcher.nccl_settings import PRESETS

from traceana.errors import TraceanaError
from traceana.sweep.expressions import evaluate
from traceana.sweep.plan import BACKEND, ENVIRONMENT, KEPT, NCCL, PLACEHOLDER, PLAIN, UNSET, Choice, Plan

_LONGEST_NAME = 60
MOST_CELLS = 1000


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """One combination. `argv` still has the placeholders that each run fills; `gpus` is None where it is not known.

    `name` is that of its folder. `environment` are variables to set, or to take away where the value is None.
    """

    name: str
    settings: tuple[tuple[str, str], ...]
    argv: tuple[str, ...]
    environment: tuple[tuple[str, str | None], ...]
    backend: str
    presets: tuple[str, ...]
    gpus: int | None

    @property
    def label(self) -> str:
        """ "size=1 nccl=plain"."""
        return label(self.settings)

    def choice(self, axis: str) -> str | None:
        """What it has of an axis."""
        return dict(self.settings).get(axis)


def label(settings: Sequence[tuple[str, str]]) -> str:
    """Settings in words."""
    return " ".join(f"{name}={value or 'none'}" for name, value in settings)


def cells(plan: Plan, most: int = MOST_CELLS) -> tuple[Cell, ...]:
    """In the order of the axes, the last one changing first. Raises TraceanaError where there are none, or too many."""
    found: list[Cell] = []
    for chosen in itertools.product(*(axis.choices for axis in plan.axes)):
        pairs = dict(zip((axis.name for axis in plan.axes), chosen, strict=True))
        if _allowed(plan, pairs):
            found.append(_cell(plan, pairs))
        if len(found) > most:
            raise TraceanaError(f"the plan has more than {most} cells; take values or axes out")
    if not found:
        raise TraceanaError(
            f"no cell fulfils the constraints {' and '.join(plan.constraints)}; change them or the axes"
        )
    if len({cell.label for cell in found}) < len(found):
        raise TraceanaError("two cells would have the same name; give values names without '=' in a plan's file")
    return tuple(found)


def baseline(plan: Plan, found: Sequence[Cell]) -> Cell:
    """The first cell that has all settings of the plan's baseline. Raises TraceanaError where none has."""
    for cell in found:
        if all(cell.choice(name) == value for name, value in plan.baseline):
            return cell
    raise TraceanaError(f"no cell is the baseline {label(plan.baseline)}; the first cell is {found[0].label}")


def fill(argv: Sequence[str], values: Mapping[str, str]) -> tuple[str, ...]:
    """The words with the placeholders that are known filled in.

    A word that is nothing but a placeholder may become several flags, or none where the value is empty.
    """
    return tuple(piece for word in argv for piece in _filled(word, values))


def _filled(word: str, values: Mapping[str, str]) -> list[str]:
    whole = PLACEHOLDER.fullmatch(word)
    if whole and whole[1] in values:
        text = values[whole[1]]
        return shlex.split(text) if not text or text.startswith("-") else [text]
    return [PLACEHOLDER.sub(lambda found: values.get(found[1], found[0]), word)]


def _texts(plan: Plan, chosen: Mapping[str, Choice]) -> dict[str, str]:
    return {**dict(plan.values), **{name: choice.text for name, choice in chosen.items()}}


def _allowed(plan: Plan, chosen: Mapping[str, Choice]) -> bool:
    texts = _texts(plan, chosen)
    return all(evaluate(constraint, texts) for constraint in plan.constraints)


def _cell(plan: Plan, chosen: Mapping[str, Choice]) -> Cell:
    texts = _texts(plan, chosen)
    gpus = _gpus(plan, texts)
    if gpus is not None:
        texts.setdefault("gpus", str(gpus))
    settings = tuple((name, choice.label) for name, choice in chosen.items())
    presets = tuple(name for name in texts.get(NCCL, PLAIN).split("+") if name != PLAIN)
    variables = [(key, value) for name in presets for key, value in PRESETS[name].variables.items()]
    own = [
        (name.removeprefix(ENVIRONMENT), text)
        for name, text in texts.items()
        if name.startswith(ENVIRONMENT) and text != KEPT
    ]
    return Cell(
        name=_folder_name(settings),
        settings=settings,
        argv=fill(plan.command, texts),
        environment=(*variables, *((key, None if text == UNSET else text) for key, text in own)),
        backend=texts.get(BACKEND, "asis"),
        presets=presets,
        gpus=gpus,
    )


def _gpus(plan: Plan, texts: Mapping[str, str]) -> int | None:
    if plan.gpus is None:
        return None
    found = evaluate(plan.gpus, texts)
    if isinstance(found, (bool, str)) or found != int(found) or found < 1:
        raise TraceanaError(f"--gpus {plan.gpus!r} comes to {found}; it must be a whole number of GPUs")
    return int(found)


def _folder_name(settings: Sequence[tuple[str, str]]) -> str:
    """Plain and short, with a hash where that lost something; without dots, because NAME.1 is a repeat of NAME."""
    text = "_".join(f"{name.removeprefix(ENVIRONMENT)}-{value or 'none'}" for name, value in settings)
    plain = re.sub(r"[^A-Za-z0-9_+]+", "-", text).strip("-")
    if plain == text and len(plain) <= _LONGEST_NAME:
        return plain
    return f"{plain[:_LONGEST_NAME]}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
