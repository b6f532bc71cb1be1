"""The one table of kernels and words: which library, backend and operation they stand for, and how that is counted.

Kernel names are those that NCCL 2.4 to 2.28, RCCL, oneCCL, HCCL, PyTorch's symmetric memory, vLLM's and sglang's custom
all-reduce, FlashInfer, NVSHMEM, DeepEP, MORI, pplx, TensorRT-LLM, TransformerEngine and MSCCL++ give. Words are c10d's.
"""

import re
from collections.abc import Sequence
from enum import Enum, IntEnum

import msgspec

from traceana.errors import TraceanaError

UNKNOWN = "unknown"
COPY_ENGINE = "copy engine"
"""The library of a collective that copies do: they have no kernel."""


class Kind(IntEnum):
    """What an activity does for the program."""

    COMPUTE = 0
    COMMUNICATION = 1
    MEMORY = 2


class KernelPattern(msgspec.Struct, frozen=True, kw_only=True):
    """Kernels whose name matches `regex` are communication of `library`, or compute where that is None."""

    library: str | None
    regex: re.Pattern[str]
    backend: str | None = None
    """Who issues the library's kernels; None where the name does not tell, since several do."""
    op: str | None = None
    """What they do; None where that is as the kernel's name tells."""
    package: str | None = None
    """Which package added the pattern; None for ours and the user's."""


class Message(Enum):
    """What of a call nccl-tests takes for its size."""

    BUFFER = "one rank's buffer"
    GATHERED = "the inputs of all ranks"
    SCATTERED = "the outputs of all ranks"
    NOTHING = "nothing: the call carries no data"


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, how c10d's words name it, and how kernels do; `nccl` is what NCCL's kernel for it is called.

    `message` and `passes` follow nccl-tests' PERFORMANCE.md: over n ranks bus bandwidth is `passes` (n - 1) / n of
    algorithm bandwidth, or the same where `passes` is None.
    """

    name: str
    word: re.Pattern[str]
    kernel: re.Pattern[str]
    nccl: str
    message: Message
    passes: int | None
    joint: bool
    """Whether no rank can leave it before all have come; a broadcast's root can, and a sender."""

    @property
    def uneven(self) -> bool:
        """Whether each rank has a part of its own, so that sizes may differ by rank."""
        return self.passes == 1


def _pattern(library: str | None, regex: str, backend: str | None = None) -> KernelPattern:
    return KernelPattern(library=library, regex=re.compile(regex, re.IGNORECASE), backend=backend)


# The first match decides.
KERNELS = (
    # TorchInductor names a kernel after all that it was fused with, collectives too.
    _pattern(None, r"^triton_(?:\w*_)?fused_"),
    _pattern("rccl", r"\brccl|\bmscclKernel"),
    _pattern("nvshmem", r"\bnvshmem", "symmetric memory"),
    _pattern(
        "deepep", r"\bdeep_?ep::|\b(?:internode|intranode)(?:_ll)?::(?:dispatch|combine|notify|cached_notify)", "DeepEP"
    ),
    _pattern("mori", r"\bmori::", "MORI"),
    _pattern("pplx", r"\bpplx(?:::|_)", "pplx"),
    _pattern("trtllm", r"\bmoe_?(?:a2a|all_?to_?all)\w*Kernel|\bmoe_comm::", "TensorRT-LLM all-to-all"),
    _pattern("userbuffers", r"userbuffers", "userbuffers"),
    _pattern("mscclpp", r"\bmscclpp"),
    _pattern("oneccl", r"\boneccl|\bxccl"),
    _pattern("hccl", r"\bhccl|\bhcom_"),
    _pattern(
        "symm_mem", r"\bmultimem_|\b(?:one|two)_?shot_all_?reduce|\bsymm_mem|symmetric_memory::", "symmetric memory"
    ),
    _pattern(
        "fused",
        r"all_?reduce_?(?:fusion|add|rms|residual|norm)|fused_?all_?reduce|trtllm_(?:mnnvl_)?allreduce"
        r"|allreduce_lamport",
        "fused all-reduce",
    ),
    _pattern(
        "custom",
        r"cross_device_(?:reduce|all_gather)|vllm::mnnvl_|all_reduce_[12]shot|quick_?reduce|custom_?all_?reduce"
        r"|allreduce_prototype|\bpcie_ipc|aiter::.*reduce_scatter_cross|\b(?:one|two)shot_?all_?reduce",
        "custom all-reduce",
    ),
    _pattern("ipc", r"spin_wait_kernel|bump_signal_kernel|\bipc_(?:all_to_all|a2a)", "CUDA IPC"),
    _pattern("nccl", r"\bnccl[A-Z]\w*Kernel|\bnccl(?:Dev)?Kernel|^nccl"),
)
_WORD_OF_A_COLLECTIVE = re.compile(
    r"all_?reduce|all_?gather|reduce_?scatter|all_?to_?all|(?<![a-z])a2a|send_?recv|(?:\b|_)ep::(?:dispatch|combine)",
    re.IGNORECASE,
)
_BACKENDS = {pattern.library: pattern.backend for pattern in KERNELS}


def _operation(
    name: str,
    word: str,
    kernel: str,
    nccl: str | None = None,
    *,
    message: Message = Message.BUFFER,
    passes: int | None = None,
    joint: bool = False,
) -> Operation:
    return Operation(
        name=name,
        word=re.compile(word),
        kernel=re.compile(kernel, re.IGNORECASE),
        nccl=nccl or name,
        message=message,
        passes=passes,
        joint=joint,
    )


_NO_KERNEL = r"(?!)"
_ALL_TO_ALL = r"all_?to_?all|a2a|dispatch|combine|spin_wait|bump_signal"
_ALL_REDUCE = r"all_?reduce|cross_device_reduce|quick_?reduce|pcie_ipc"
# The first match decides. One kernel of NCCL serves point-to-point and all that is made of it: its name cannot tell.
OPERATIONS = (
    _operation(
        "reduce_scatter", r"reduce_?scatter", r"reduce_?scatter", message=Message.SCATTERED, passes=1, joint=True
    ),
    _operation("all_gather", r"all_?gather", r"all_?gather", message=Message.GATHERED, passes=1, joint=True),
    _operation("all_to_all", r"all_?to_?all", _ALL_TO_ALL, "send_recv", passes=1, joint=True),
    _operation("all_reduce", r"all_?reduce", _ALL_REDUCE, passes=2, joint=True),
    _operation("broadcast", r"broadcast", r"broadcast"),
    _operation("send_recv", r"send|recv|p2p", r"send_?recv|pushsend|pushrecv"),
    _operation("barrier", r"barrier", r"barrier", message=Message.NOTHING, joint=True),
    _operation("reduce", r"reduce", r"Kernel_Reduce|^ncclReduce"),
    _operation("gather", r"gather", _NO_KERNEL, "send_recv", message=Message.GATHERED, passes=1),
    _operation("scatter", r"scatter", _NO_KERNEL, "send_recv", message=Message.SCATTERED, passes=1),
    _operation(UNKNOWN, _NO_KERNEL, _NO_KERNEL),
)
_BY_NAME = {operation.name: operation for operation in OPERATIONS}


class NameKind(msgspec.Struct, frozen=True, kw_only=True):
    """Kind of one activity name; `library` is set and `op` known or "unknown" for communication only.

    `backend` is who issues the library's kernels, None where the name does not tell.
    """

    kind: Kind
    library: str | None = None
    op: str | None = None
    backend: str | None = None


def classify(name: str, category: str, own: Sequence[KernelPattern] = ()) -> NameKind:
    """Classify by name; `own` patterns come before the built-in ones."""
    if category != "kernel":
        return NameKind(kind=Kind.MEMORY)
    for pattern in (*own, *KERNELS):
        if pattern.regex.search(name):
            if pattern.library is None:
                break
            op = pattern.op or operation_of_kernel(name)
            return NameKind(kind=Kind.COMMUNICATION, library=pattern.library, op=op, backend=pattern.backend)
    return NameKind(kind=Kind.COMPUTE)


def may_communicate(name: str, own: Sequence[KernelPattern] = ()) -> bool:
    """Whether a name that no pattern knows has the word of a collective in it, as an unknown library's kernels have."""
    if not _WORD_OF_A_COLLECTIVE.search(name):
        return False
    return not any(pattern.regex.search(name) for pattern in (*own, *KERNELS))


def operation_of_kernel(name: str) -> str:
    """The operation that a communication kernel's name tells, or "unknown" (`ncclDevKernel_Generic`)."""
    return next((operation.name for operation in OPERATIONS if operation.kernel.search(name)), UNKNOWN)


def operation_of_call(word: str) -> str:
    """The operation behind c10d's word for a collective (`_allgather_base`, `allreduce_coalesced`, …), or "unknown"."""
    lowered = word.lower()
    return next((operation.name for operation in OPERATIONS if operation.word.search(lowered)), UNKNOWN)


def operation_named(op: str) -> Operation:
    """The table's row; for a name that is not in it, that of "unknown"."""
    return _BY_NAME.get(op, _BY_NAME[UNKNOWN])


def nccl_name(op: str) -> str:
    """The operation that NCCL's kernel names for `op`: all that is made of point-to-point calls is `send_recv`."""
    return operation_named(op).nccl


def parse_comm_kernel(text: str) -> KernelPattern:
    """NAME=REGEX as given to --comm-kernel. Raises TraceanaError where it is neither."""
    name, equals, regex = text.partition("=")
    if not (name and equals and regex):
        raise TraceanaError(f"--comm-kernel {text}: write NAME=REGEX, for example mylib=my_allreduce_.*")
    return KernelPattern(library=name, regex=_compiled(regex, f"--comm-kernel {text}"), backend=_BACKENDS.get(name))


def parse_compute_kernel(text: str) -> KernelPattern:
    """REGEX as given to --compute-kernel. Raises TraceanaError where it is none."""
    return KernelPattern(library=None, regex=_compiled(text, f"--compute-kernel {text}"))


def _compiled(regex: str, option: str) -> re.Pattern[str]:
    try:
        return re.compile(regex)
    except re.error as error:
        raise TraceanaError(f"{option}: not a regular expression ({error})") from error
