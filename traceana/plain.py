"""Words from files, hosts and users as they may stand on a terminal and in a report: nothing in them is obeyed."""

import re

import click

# Controls and what turns lines around; surrogates stand for bytes of a path that are no UTF-8, or for nothing.
_NOT_PLAIN = re.compile("[\\x00-\\x1f\\x7f-\\x9f\\u061c\\u200e\\u200f\\u2028-\\u202e\\u2066-\\u2069\\ud800-\\udfff]")
_BLANKS = "\t\n\r"


def plain(text: object) -> str:
    """One line of text without control characters; a byte of a path that is no UTF-8 is written as \\xff."""
    words = str(text)
    return words if words.isprintable() else _NOT_PLAIN.sub(_visible, words)


def say(line: object, *, err: bool = False) -> None:
    """Print a line; what it quotes from elsewhere makes no other."""
    click.echo(plain(line), err=err)


def say_json(data: bytes) -> None:
    """Print a line of JSON; what its strings must not do to a terminal is escaped."""
    click.echo(_NOT_PLAIN.sub(lambda found: f"\\u{ord(found[0]):04x}", data.decode("utf-8", "replace").rstrip("\n")))


def _visible(found: "re.Match[str]") -> str:
    code = ord(found[0])
    if found[0] in _BLANKS:
        return " "
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else "?"
