"""Where strings are in many JSON texts that stand in one, told by their quotes."""

import numpy as np
import numpy.typing as npt

Places = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint8]


class Quotes:
    """The strings in `codes`, whose parts end with `border`; one quote too few in a part moves no other's strings.

    `inside` says of each byte whether it is in a string, `even` of each part whether its quotes are pairs; bytes in
    others may be said to be in strings or not.
    """

    def __init__(self, codes: Codes, border: int) -> None:
        turns = codes == ord('"')
        turns[_escaped(codes)] = False
        self._quotes = np.flatnonzero(turns)
        self.borders: Places = np.flatnonzero(codes == border)
        firsts = np.searchsorted(self._quotes, self.borders)
        self.even: Flags = np.diff(firsts, prepend=0, append=len(self._quotes)) % 2 == 0
        turns[self.borders[~self.even[:-1]]] = True
        self.inside: Flags = np.bitwise_xor.accumulate(turns, out=turns)

    def parts_of(self, places: Places) -> Places:
        """The part that each place is in."""
        return np.searchsorted(self.borders, places)

    def ends_before(self, places: Places) -> Places:
        """Where the last strings before places outside of strings end: one place each, where there is any."""
        before = np.searchsorted(self._quotes, places[~self.inside[places]]) - 1
        return np.unique(self._quotes[before[before >= 0]])


def _escaped(codes: Codes) -> Places:
    """What stands behind an odd number of backslashes."""
    slashes = np.flatnonzero(codes == ord("\\"))
    if not len(slashes):
        return slashes
    begins = np.diff(slashes, prepend=-2) != 1
    lengths = slashes - slashes[begins][np.cumsum(begins) - 1] + 1
    behind: Places = slashes[lengths % 2 == 1] + 1
    return behind[behind < len(codes)]
