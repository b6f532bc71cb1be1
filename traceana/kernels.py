"""What a GPU activity is, by its name: communication of which library and operation, compute, or memory.

Names are those that NCCL 2.4 to 2.28, RCCL, PyTorch's symmetric memory, vLLM's and sglang's custom all-reduce,
FlashInfer, NVSHMEM, DeepEP and MSCCL++ give their kernels. Memory copies and sets are memory, whoever issued them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from traceana.errors import TraceanaError


class Kind(IntEnum):
    """What an activity does for the program."""

    COMPUTE = 0
    COMMUNICATION = 1
    MEMORY = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CommunicationPattern:
    """Kernels whose name matches `regex` are communication of `library`."""

    library: str
    regex: re.Pattern[str]


def _pattern(library: str, regex: str) -> CommunicationPattern:
    return CommunicationPattern(library=library, regex=re.compile(regex, re.IGNORECASE))


COMMUNICATION_PATTERNS = (
    _pattern("rccl", r"rccl|mscclKernel"),
    _pattern("nvshmem", r"nvshmem"),
    _pattern("deepep", r"deep_?ep|\b(?:internode|intranode)(?:_ll)?::(?:dispatch|combine|notify|cached_notify)"),
    _pattern("mscclpp", r"mscclpp"),
    _pattern("symm_mem", r"multimem_|(?:one|two)_?shot_all_?reduce|ncclSymk"),
    _pattern("fused", r"all_?reduce_(?:fusion|add|rms|residual)|fused_?all_?reduce|trtllm_allreduce|allreduce_lamport"),
    _pattern(
        "custom",
        r"cross_device_reduce_|all_reduce_[12]shot_|quick_?reduce|custom_?all_?reduce|aiter::.*reduce_scatter_cross",
    ),
    _pattern("ipc", r"spin_wait_kernel|bump_signal_kernel|ipc_(?:all_to_all|a2a)"),
    _pattern("nccl", r"\bnccl(?:Dev)?Kernel|\bnccl[A-Z]\w*Kernel|^nccl"),
)

_OPERATIONS = tuple(
    (op, re.compile(regex, re.IGNORECASE))
    for op, regex in (
        ("reduce_scatter", r"reduce_?scatter"),
        ("all_gather", r"all_?gather"),
        ("all_to_all", r"all_?to_?all|a2a|dispatch|combine|spin_wait|bump_signal"),
        ("all_reduce", r"all_?reduce|cross_device_reduce|quick_?reduce"),
        ("broadcast", r"broadcast"),
        # NCCL has one kernel for point-to-point and for all-to-all: the name alone cannot tell them apart.
        ("send_recv", r"send_?recv"),
        ("barrier", r"barrier"),
        ("reduce", r"Kernel_Reduce|^ncclReduce"),
    )
)


@dataclass(frozen=True, slots=True, kw_only=True)
class NameKind:
    """Kind of one activity name; `library` is set and `op` known or "unknown" for communication only."""

    kind: Kind
    library: str | None = None
    op: str | None = None


def classify(name: str, category: str, own: Sequence[CommunicationPattern] = ()) -> NameKind:
    """Classify by name; `own` patterns come before the built-in ones."""
    if category != "kernel":
        return NameKind(kind=Kind.MEMORY)
    for pattern in (*own, *COMMUNICATION_PATTERNS):
        if pattern.regex.search(name):
            return NameKind(kind=Kind.COMMUNICATION, library=pattern.library, op=operation_of_kernel(name))
    return NameKind(kind=Kind.COMPUTE)


def operation_of_kernel(name: str) -> str:
    """The operation that a communication kernel's name tells, or "unknown" (`ncclDevKernel_Generic`)."""
    return next((op for op, regex in _OPERATIONS if regex.search(name)), "unknown")


def parse_pattern(text: str) -> CommunicationPattern:
    """NAME=REGEX as given to --comm-kernel. Raises TraceanaError where it is neither."""
    name, equals, regex = text.partition("=")
    if not (name and equals and regex):
        raise TraceanaError(f"--comm-kernel {text}: write NAME=REGEX, for example mylib=my_allreduce_.*")
    try:
        return CommunicationPattern(library=name, regex=re.compile(regex))
    except re.error as error:
        raise TraceanaError(f"--comm-kernel {text}: not a regular expression ({error})") from error
