"""Events of a trace as rows of integers, compiled where there is a compiler; see scan.c."""

COLUMNS: str
"""Names of a row's int64 values, with blanks between."""

def scan(data: bytes) -> tuple[int, bytes, bytes, bytes, bytes] | None:
    """Of comma-separated events how many there are, the rows of complete ones, and in JSON what these number.

    That is lists of names (categories among them), of thread ids, and of grids and blocks. None where anything is
    unusual, which does not mean that it is damaged.
    """
