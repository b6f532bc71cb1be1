"""The calls of one rank: a call's kernels, what c10d says of it, and how much of it no compute covers."""

import re
from dataclasses import dataclass

from tests.oracle.arithmetic import Interval, common, length, message_bytes, union
from tests.oracle.raw import Args, Event, RawRank

LIBRARIES = {
    "nccl": r"^nccl",
    "symm_mem": r"multimem_|(one|two)_shot_all_reduce",
    "custom": r"cross_device_reduce|all_reduce_[12]shot",
}
OP_WORDS = (
    ("reduce_scatter", r"reduce_?scatter"), ("all_gather", r"all_?gather"), ("all_to_all", r"all_?to_?all"),
    ("all_reduce", r"all_?reduce|cross_device_reduce"), ("broadcast", "broadcast"), ("send_recv", "send|recv"),
    ("barrier", "barrier"), ("reduce", "reduce"), ("gather", "gather"), ("scatter", "scatter"),
)  # fmt: skip
POINT_TO_POINT = "send_recv"


@dataclass(slots=True, kw_only=True)
class Call:
    """One call of one rank; `members` are the metadata of the calls that share its kernel."""

    rank: int
    op: str
    library: str
    kernels: list[Event]
    members: list[Args]
    group: tuple[int, ...] | None
    exposed: int = 0
    collective: int | None = None
    wait: int = 0
    whole: int | None = None
    """Bytes that ranks of unlike parts gather or scatter together, known once they are matched."""
    common_start: int = 0
    """On the run's common clock."""

    @property
    def start(self) -> int:
        return min(kernel.start for kernel in self.kernels)

    @property
    def end(self) -> int:
        return max(kernel.end for kernel in self.kernels)

    @property
    def duration(self) -> int:
        return self.end - self.start

    @property
    def transfer(self) -> int:
        return self.duration - self.wait

    @property
    def meta(self) -> Args:
        return self.members[0] if self.members else {}

    @property
    def dtype(self) -> str | None:
        dtype = self.meta.get("dtype")
        return None if dtype is None else str(dtype)

    @property
    def group_size(self) -> int | None:
        return self.meta.get("Group size") or (len(self.group) if self.group else None)

    @property
    def bytes(self) -> int | None:
        """Of a group of sends and receives, what is sent."""
        if self.whole is not None:
            return self.whole
        counted = [one for one in self.members if one["Collective name"] != "recv"] or self.members
        sent = sum(one.get("In msg nelems") or 0 for one in counted)
        received = sum(one.get("Out msg nelems") or 0 for one in counted)
        return message_bytes(self.op, self.dtype, sent, received, self.group_size)


def library_of(kernel: Event, amd: bool) -> str | None:
    """The communication library that a kernel belongs to by its name, else None."""
    found = (library for library, pattern in LIBRARIES.items() if re.search(pattern, kernel.name))
    library = next(found, None)
    return "rccl" if amd and library == "nccl" else library


def op_of(word: str) -> str:
    return next((op for op, pattern in OP_WORDS if re.search(pattern, word.lower())), "unknown")


def is_communication(kernel: Event, amd: bool) -> bool:
    return "Collective name" in kernel.args or library_of(kernel, amd) is not None


def compute_of(raw: RawRank) -> list[Interval]:
    """When the rank computed; without a device when operators ran."""
    if not raw.activities:
        return union((op.start, op.end) for op in raw.of("cpu_op") if op.name.startswith("aten::"))
    return union((k.start, k.end) for k in raw.of("kernel") if not is_communication(k, raw.amd))


def calls_of(raw: RawRank) -> list[Call]:
    """All calls of a rank in order of start."""
    calls = _device_calls(raw) if raw.activities else _host_calls(raw)
    compute = compute_of(raw)
    for call in calls:
        covered = sum(length(common([(k.start, k.end)], compute)) for k in call.kernels)
        call.exposed = sum(kernel.duration for kernel in call.kernels) - covered
    return sorted(calls, key=lambda call: call.start)


def _host_calls(raw: RawRank) -> list[Call]:
    """c10d's own annotations, which last as long as the call."""
    spans = [span for span in raw.of("user_annotation") if span.name.startswith("gloo:")]
    return [_call(raw, "gloo", [span], [], span.name.partition(":")[2]) for span in spans]


def _device_calls(raw: RawRank) -> list[Call]:
    """A call for each `record_param_comms` that launched communication, and one for each kernel without."""
    launches, waiting = raw.launches, _Waiting(raw)
    kernels = [kernel for kernel in raw.of("kernel") if is_communication(kernel, raw.amd)]
    by_host: dict[int, Call] = {}
    calls = []
    for kernel in sorted(kernels, key=lambda kernel: _launch_time(kernel, launches)):
        launch = launches.get(kernel.args.get("correlation", 0))
        replayed = launch is not None and "Graph" in launch.name
        host = waiting.around(launch) if launch and not replayed else None
        if host is not None and id(host) in by_host:
            by_host[id(host)].kernels.append(kernel)
            continue
        call = _call(raw, library_of(kernel, raw.amd) or "unknown", [kernel], _members(kernel, host), kernel.name)
        if launch and not replayed and not call.members:
            call.members = waiting.before(launch, call.op)
            call = _call(raw, call.library, [kernel], call.members, kernel.name)
        if host is not None:
            by_host[id(host)] = call
        calls.append(call)
    return calls


def _members(kernel: Event, host: Event | None) -> list[Args]:
    own = kernel.args if "Collective name" in kernel.args else host.args if host else {}
    return [own] if "Collective name" in own else []


def _launch_time(kernel: Event, launches: dict[int, Event]) -> int:
    launch = launches.get(kernel.args.get("correlation", 0))
    return launch.start if launch else kernel.start


def _call(raw: RawRank, library: str, kernels: list[Event], members: list[Args], word: str) -> Call:
    meta = members[0] if members else {}
    op = op_of(meta["Collective name"]) if meta else op_of(word)
    return Call(rank=raw.rank, op=op, library=library, kernels=kernels, members=members, group=_group(raw, meta))


def _group(raw: RawRank, meta: Args) -> tuple[int, ...] | None:
    listed = str(meta.get("Process Group Ranks") or "")
    if listed and "..." not in listed:
        return tuple(int(part) for part in listed.strip("[] ").split(",") if part.strip())
    return raw.groups.get(meta.get("Process Group Name", ""))


class _Waiting:
    """The host's calls: those around a launch, and those of a group whose one kernel is launched when all were made."""

    def __init__(self, raw: RawRank) -> None:
        hosts = [op for op in raw.of("cpu_op") if op.name == "record_param_comms" and "Collective name" in op.args]
        self.hosts = [host for host in hosts if op_of(host.args["Collective name"]) not in ("unknown", "barrier")]
        self.groups = [span for span in raw.of("user_annotation") if span.name == "nccl:coalesced"]
        self.taken: set[int] = set()

    def around(self, launch: Event) -> Event | None:
        found = [host for host in self.hosts if host.thread == launch.thread and host.holds(launch.start)]
        self.taken |= {id(host) for host in found}
        return found[-1] if found else None

    def before(self, launch: Event, op: str) -> list[Args]:
        """Calls of this operation that are over and launched nothing, where c10d says that a group is launched."""
        if not any(span.thread == launch.thread and span.holds(launch.start) for span in self.groups):
            return []
        found = [
            host
            for host in self.hosts
            if host.thread == launch.thread
            and host.end <= launch.start
            and id(host) not in self.taken
            and op_of(host.args["Collective name"]) == op
        ]
        self.taken |= {id(host) for host in found}
        return [host.args for host in found]
