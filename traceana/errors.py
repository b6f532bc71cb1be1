"""The one exception root: the command line catches it once, prints its message and exits with its code."""

from traceana.plain import plain


class TraceanaError(Exception):
    """Something the user can act on; the message, one plain line, says what, where and what to do next."""

    exit_code = 2

    def __init__(self, message: object = "") -> None:
        super().__init__(plain(message))
