"""Asks a run's launchers about its windows: by files in their scratch folders, which other hosts see too."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import msgspec

from traceana.errors import TraceanaError
from traceana_capture.launcher.others import scratches

ASKED = "asked"
QUESTION, TAKEN, ANSWER = ".ask", ".taken", ".answer"
LOOK_S = 0.05
# A launcher looks for questions several times a second; a folder that hosts share may take longer to show them.
TAKEN_S = 20.0


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for: by a user to open, close or show windows, by another launcher its part in that.

    Bounds are None where they are as the run has them. `number` and `place` are of the window that is ordered.
    """

    do: str
    steps: int | None = None
    seconds: float | None = None
    max_collectives: int | None = None
    number: int = 0
    place: tuple[int, int, int] = (0, 0, 0)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A window, its ranks by what each does, and where its traces are or will be."""

    number: int
    ranks: dict[str, list[int]]
    folder: str


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What came of it; `error` says why it cannot be done. `place` is the furthest of the launcher's `ranks`."""

    error: str = ""
    windows: list[Shown] = []
    ranks: list[int] = []
    place: tuple[int, int, int] = (0, 0, 0)


_ASK, _ANSWER = msgspec.json.Decoder(Ask), msgspec.json.Decoder(Answer)


def of_run(folder: Path, wanted: Ask) -> Answer:
    """What a launcher of the run in `folder` answers.

    Raises TraceanaError where no program runs under capture there, and where what is wanted cannot be done.
    """
    scratch = next((scratch for scratch in scratches(folder) if (scratch / ASKED).is_dir()), None)
    if scratch is None:
        raise TraceanaError(
            f"{folder}: no program runs under capture there; start one with traceana capture, and name its run's folder"
        )
    return ask(scratch, wanted)


def ask(scratch: Path, wanted: Ask) -> Answer:
    """What the launcher with this scratch folder answers; raises TraceanaError where it does not, or cannot do it."""
    question = scratch / ASKED / f"{uuid.uuid4().hex}{QUESTION}"
    try:
        _write(question, msgspec.json.encode(wanted))
        answer = _answer(question)
    except OSError as error:
        raise TraceanaError(f"{scratch}: cannot be asked ({error.strerror}); has its run ended?") from error
    if answer.error:
        raise TraceanaError(answer.error)
    return answer


def _write(path: Path, text: bytes) -> None:
    partial = path.with_suffix(".partial")
    partial.write_bytes(text)
    partial.replace(path)


def _answer(question: Path) -> Answer:
    """Raises OSError where the launcher ends before, TraceanaError where it does not look."""
    end, answer = time.monotonic() + TAKEN_S, question.with_suffix(ANSWER)
    while not answer.exists():
        question.parent.stat()
        if question.exists() and time.monotonic() > end:
            question.unlink(missing_ok=True)
            raise TraceanaError(f"{question.parent}: nobody answered; was traceana capture stopped, or killed?")
        time.sleep(LOOK_S)
    found = _ANSWER.decode(answer.read_bytes())
    answer.unlink()
    return found


def take(scratch: Path) -> list[Path]:
    """Questions that nobody took; they are ours now. Raises OSError."""
    found = []
    for question in (scratch / ASKED).glob(f"*{QUESTION}"):
        taken = question.with_suffix(TAKEN)
        question.rename(taken)
        found.append(taken)
    return found


def reply(taken: Path, answer: Callable[[Ask], Answer]) -> None:
    """Answer a question that was taken; an error becomes an answer too."""
    try:
        said = answer(_ASK.decode(taken.read_bytes()))
    except (TraceanaError, msgspec.DecodeError) as error:
        said = Answer(error=str(error))
    except OSError as error:
        said = Answer(error=f"{error.filename}: {error.strerror}")
    except Exception as error:  # a fault of ours: who asks would wait for as long as the run goes on
        said = Answer(error=f"traceana failed ({error!r}); the run goes on, so ask again")
    _write(taken.with_suffix(ANSWER), msgspec.json.encode(said))
    taken.unlink()
