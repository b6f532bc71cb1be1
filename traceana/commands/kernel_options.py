"""The options by which a user says what kernels of their own are."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from traceana.errors import TraceanaError
from traceana.kernels import KernelPattern, parse_comm_kernel, parse_compute_kernel
from traceana.plain import plain


def kernel_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add --comm-kernel and --compute-kernel to a command."""
    comm = click.option(
        "--comm-kernel",
        "comm_kernels",
        metavar="NAME=REGEX",
        multiple=True,
        help="Count kernels whose name matches as communication of library NAME; may be repeated.",
    )
    compute = click.option(
        "--compute-kernel",
        "compute_kernels",
        metavar="REGEX",
        multiple=True,
        help="Count kernels whose name matches as compute, whatever it looks like; may be repeated.",
    )
    return comm(compute(command))


def own_patterns(comm_kernels: Sequence[str], compute_kernels: Sequence[str]) -> tuple[KernelPattern, ...]:
    """What the options say. Raises TraceanaError for a pattern that is none, or no text: a report is UTF-8."""
    for text in (*comm_kernels, *compute_kernels):
        if plain(text) != text:
            raise TraceanaError(f"{plain(text)!r}: write a kernel's name in UTF-8 and without control characters")
    return (*map(parse_compute_kernel, compute_kernels), *map(parse_comm_kernel, comm_kernels))
