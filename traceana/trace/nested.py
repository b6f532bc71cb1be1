"""Objects in lists of an event's arguments, which look like events: they are pieces of the one that they are in."""

from collections.abc import Sequence
from itertools import pairwise

from traceana.trace.events import PHASE
from traceana.trace.mend import Piece

# No event is as long; what one leaves open would hold all that follows.
_MOST_BYTES = 1 << 20


def with_nested(texts: list[bytes], pieces: Sequence[Piece]) -> tuple[list[bytes], Sequence[Piece]]:
    """Texts and what came of mending them; those without a phase are one with what has a bracket open for them."""
    phases = [PHASE in text for text in texts]
    if all(phases):
        return texts, pieces
    starts = _starts(pieces, phases)
    spans = [slice(*span) for span in pairwise([*starts, len(pieces)])]
    return [_joined(texts[span]) for span in spans], [_one(pieces[span]) for span in spans]


def _starts(pieces: Sequence[Piece], phases: list[bool]) -> list[int]:
    """The places of pieces that are in no other one."""
    starts: list[int] = []
    depth = size = 0
    for place, (piece, phase) in enumerate(zip(pieces, phases, strict=True)):
        if phase or piece.torn or depth <= 0 or size > _MOST_BYTES:
            starts.append(place)
            depth = size = 0
        depth = 0 if piece.torn else depth + piece.depth
        size += len(piece.text)
    return starts


def _one(pieces: Sequence[Piece]) -> Piece:
    if len(pieces) == 1:
        return pieces[0]
    text = _joined([piece.text for piece in pieces])
    return Piece(text, any(piece.mended for piece in pieces), False, sum(piece.depth for piece in pieces))


def _joined(texts: Sequence[bytes]) -> bytes:
    return texts[0] if len(texts) == 1 else b",".join(texts)
