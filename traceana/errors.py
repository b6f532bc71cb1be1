"""The one exception root: the command line catches it once, prints its message and exits with its code."""


class TraceanaError(Exception):
    """Something the user can act on; the message says what, where and what to do next."""

    exit_code = 2
