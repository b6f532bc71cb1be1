"""Where strings are in many JSON texts that stand in one, told by their quotes."""

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

# Free to stand for what is escaped, of the same length.
_NO_CONTROLS = bytes([*b" " * 32, *range(32, 1 << 8)])
_ESCAPED = ((b"\\\\", b"\1\1"), (b'\\"', b"\1\2"))


class Quotes:
    """The quotes in `text`, whose parts end with `border`; one quote too few in a part moves no other's strings.

    `even` says of each part whether its quotes are pairs; places in others may be said to be in strings or not.
    """

    def __init__(self, text: bytes, border: bytes) -> None:
        codes = np.frombuffer(hide_escaped(text), dtype=np.uint8)
        self._quotes = np.flatnonzero(codes == ord('"'))
        self._borders = np.flatnonzero(codes == ord(border))
        firsts = [0, *np.searchsorted(self._quotes, self._borders).tolist(), len(self._quotes)]
        self._first = np.array(firsts[:-1], dtype=np.int64)
        self.even: Flags = np.diff(firsts) % 2 == 0

    def parts_of(self, places: Places) -> Places:
        """The part that each place is in."""
        return np.searchsorted(self._borders, places)

    def inside(self, places: Places) -> Flags:
        """Whether each place is in a string."""
        before = np.searchsorted(self._quotes, places) - self._first[self.parts_of(places)]
        odd: Flags = before % 2 == 1
        return odd

    def ends_before(self, places: Places) -> Places:
        """Where the last strings before places outside of strings end: one place each, where there is any."""
        before = np.searchsorted(self._quotes, places[~self.inside(places)]) - 1
        return self._quotes[np.unique(before[before >= 0])]


def hide_escaped(text: bytes) -> bytes:
    """The text with no quote but those at the ends of strings, as long as it was, and no control characters."""
    text = text.translate(_NO_CONTROLS)
    for escaped, other in _ESCAPED:
        text = text.replace(escaped, other)
    return text
