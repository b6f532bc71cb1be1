"""Objects in lists of an event's arguments, which look like events: they belong to the one that they are in."""

from traceana.trace.events import PHASE

# No event is as long; what one leaves open would hold all that follows.
_MOST_BYTES = 1 << 20


def with_nested(texts: list[bytes]) -> list[bytes]:
    """The texts, where those without a phase are one with what has a brace open for them.

    Braces are counted in strings, too: where that misleads, damage of what is no event may cost the event before it.
    """
    phases = [PHASE in text for text in texts]
    if all(phases):
        return texts
    whole: list[bytes] = []
    parts: list[bytes] = []
    opened = size = 0
    for text, phase in zip(texts, phases, strict=True):
        if parts and (phase or opened <= 0 or size > _MOST_BYTES):
            whole.append(b",".join(parts))
            parts, opened, size = [], 0, 0
        parts.append(text)
        opened += text.count(b"{") - text.count(b"}")
        size += len(text)
    return [*whole, b",".join(parts)]
