"""Every file in this folder: what is wrong or odd about it, who met it, and what an analysis must say."""

from dataclasses import dataclass

from tests.traces import damaged, odd
from tests.traces.base import COMM_KERNELS, COMM_NS, COMPUTE_NS, KERNELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One file. The counts are of a file read without loss; `damaged` kernels may be skipped if they are counted.

    A `hopeless` file gives an error that names it and nothing else. A `cut` one is listed as truncated.
    """

    file: str
    data: bytes
    defect: str
    source: str = ""
    rank: int = 0
    kernels: int = KERNELS
    comm_kernels: int = COMM_KERNELS
    damaged: int = 0
    comm_damaged: int = 0
    compute_ns: int | None = COMPUTE_NS
    comm_ns: int | None = COMM_NS
    span_ns: int | None = None
    ops: tuple[str, ...] = ("all_reduce",)
    message_bytes: int | None = 8192
    cut: bool = False
    hopeless: bool = False
    also: str = ""

    @property
    def outcome(self) -> str:
        """What must come out, in words."""
        if self.hopeless:
            return "exit code 2, one line that names the file, nothing written" + self.also
        parts = [f"{self.kernels} kernels, {self.comm_kernels} of them communication"]
        if self.damaged:
            parts.append(f"up to {self.damaged} skipped if counted")
        if self.cut:
            parts.append("listed as truncated")
        return ", ".join(parts) + self.also


DAMAGED = (
    Case(
        file="truncated.json.gz",
        data=damaged.truncated_gzip(),
        defect="gzip stream cut inside the last kernel",
        source="HolisticTraceAnalysis#324",
        kernels=3,
        comm_kernels=1,
        comm_ns=50_000,
        cut=True,
    ),
    Case(
        file="truncated.json",
        data=damaged.truncated_json(),
        defect="JSON cut inside the last kernel",
        source="HolisticTraceAnalysis#324",
        kernels=3,
        comm_kernels=1,
        comm_ns=50_000,
        cut=True,
    ),
    Case(
        file="bad-utf8.json",
        data=damaged.bad_utf8(),
        defect="a byte that is no UTF-8 in a kernel's name",
        source="kineto#80",
        damaged=1,
        compute_ns=None,
    ),
    Case(
        file="control-characters.json",
        data=damaged.control_characters(),
        defect="a raw line feed and \\x01 in a kernel's name",
        source="pytorch#130622",
        damaged=1,
        compute_ns=None,
    ),
    Case(
        file="nan-value.json",
        data=damaged.nan_value(),
        defect="`NaN` and `-Infinity` as a kernel's figures",
        damaged=1,
        comm_damaged=1,
        comm_ns=None,
    ),
    Case(
        file="decimal-comma.json",
        data=damaged.decimal_comma(),
        defect='every kernel has `"blocks per SM": 7,757576`',
        source="pytorch#191032",
        also="; a loss of all kernels is none that a user can accept",
    ),
    Case(
        file="decimal-comma-in-ts.json",
        data=damaged.decimal_comma_in_ts(),
        defect='a kernel has `"ts": 4636077895000,000`',
        source="tensorboard#4992",
        damaged=1,
        compute_ns=None,
    ),
    Case(
        file="unescaped-quotes.json",
        data=damaged.unescaped_quotes(),
        defect="a Python frame whose name holds bare quotes and braces",
        source="kineto#1459",
    ),
    Case(
        file="unescaped-backslashes.json",
        data=damaged.unescaped_backslashes(),
        defect="a Python frame whose name holds bare Windows backslashes",
        source="pytorch#98432",
    ),
    Case(
        file="trailing-comma.json",
        data=damaged.trailing_comma(),
        defect="a comma after the last event",
    ),
    Case(
        file="no-duration.json",
        data=damaged.no_duration(),
        defect="a kernel without `dur`, one with a negative one",
        damaged=2,
        compute_ns=None,
        also="; no total is negative",
    ),
)

HOPELESS = (
    Case(file="empty.json", data=b"", defect="an empty file", hopeless=True),
    Case(file="empty.json.gz", data=b"", defect="an empty file that is called gzip", hopeless=True),
    Case(file="not-a-trace.json", data=b'{"loss": [0.5, 0.25]}\n', defect="JSON, but no trace", hopeless=True),
    Case(file="not-json.json", data=b"PID USER COMMAND\n", defect="no JSON", hopeless=True),
)

ODD = (
    Case(
        file="no-events.json",
        data=odd.no_events(),
        defect="a trace with no events",
        kernels=0,
        comm_kernels=0,
        compute_ns=0,
        comm_ns=0,
        span_ns=0,
        ops=(),
    ),
    Case(
        file="no-nccl-events.json",
        data=odd.no_nccl_events(),
        defect="no communication at all",
        source="HolisticTraceAnalysis",
        kernels=2,
        comm_kernels=0,
        comm_ns=0,
        ops=(),
    ),
    Case(
        file="rank-without-space.json",
        data=odd.rank_without_space(),
        defect='`"rank":3` without a space, no rank in the name',
        source="HolisticTraceAnalysis",
        rank=3,
        also=", rank 3",
    ),
    Case(
        file="events-before-header.json",
        data=odd.events_before_header(),
        defect="`traceEvents` first, `distributedInfo` after them",
        rank=5,
        also=", rank 5",
    ),
    Case(
        file="list-top-level.json",
        data=odd.list_top_level(),
        defect="a bare array of events",
        also=", rank 0",
    ),
    Case(
        file="absolute-timestamps.json",
        data=odd.absolute_timestamps(),
        defect="µs since 1970 with ns decimals, beyond what a double holds",
        source="HolisticTraceAnalysis, TraceLens",
        kernels=3,
        comm_kernels=1,
        compute_ns=80,
        comm_ns=120,
        span_ns=200_331,
        message_bytes=None,
        also="; all times exact to the ns",
    ),
    Case(
        file="overrunning-duration.json",
        data=odd.overrunning_duration(),
        defect="a kernel that ends after the next one of its stream began",
        source="HolisticTraceAnalysis",
        compute_ns=160_000 + 20_000,
        also="; the shared 10 µs count once",
    ),
    Case(
        file="correlation-zero.json",
        data=odd.correlation_zero(),
        defect="all kernels have correlation 0",
        source="MI300 traces",
    ),
    Case(
        file="sub-microsecond-kernels.json",
        data=odd.sub_microsecond_kernels(),
        defect="kernels of 480 ns, 200 ns apart",
        source="HolisticTraceAnalysis",
        kernels=8,
        comm_kernels=0,
        compute_ns=3_840,
        comm_ns=0,
        span_ns=5_240,
        ops=(),
    ),
    Case(file="stream-zero.json", data=odd.stream_zero(), defect="all kernels on stream 0", source="MI300 traces"),
    Case(
        file="gpu-user-annotation.json",
        data=odd.gpu_user_annotation(),
        defect="a user span drawn over the kernels and the gaps between them",
        also="; the span is no GPU time",
    ),
    Case(
        file="fp8-dtype.json",
        data=odd.fp8_dtype(),
        defect="`Float8_e4m3fn`",
        source="HolisticTraceAnalysis",
        message_bytes=4096,
        also="; 4096 bytes",
    ),
    Case(
        file="nccl-generic-without-metadata.json",
        data=odd.nccl_generic(),
        defect="`ncclDevKernel_Generic` without metadata",
        source="MI300 traces",
        ops=("unknown",),
        message_bytes=None,
        also="; op unknown, size null, counted as without size",
    ),
    Case(
        file="long-ranks-list.json",
        data=odd.long_ranks_list(),
        defect='a group of 64 whose ranks end in "..."',
        source="torch's profiler",
        also=", group of 64",
    ),
    Case(
        file="launched-before-window.json",
        data=odd.launched_before_window(),
        defect="kernels whose launch is not in the file",
        source="HolisticTraceAnalysis",
    ),
    Case(
        file="nested-brackets.json",
        data=odd.nested_brackets(),
        defect='strings that hold `}, {` and `}], "x":`',
    ),
    Case(
        file="concatenated.json.gz",
        data=odd.concatenated_gzip(),
        defect="two gzip members, cut inside an event",
    ),
    Case(file="misnamed.json.gz", data=odd.compact_layout(), defect="plain JSON in a file called gzip"),
    Case(file="byte-order-mark.json", data=odd.byte_order_mark(), defect="begins with a UTF-8 byte order mark"),
    Case(file="crlf.json", data=odd.crlf(), defect="lines end in CR LF"),
    Case(file="compact.json", data=odd.compact_layout(), defect="no white space"),
    Case(file="pretty.json", data=odd.pretty_layout(), defect="one value a line"),
    Case(file="integer-timestamps.json", data=odd.integer_timestamps(), defect="`ts` and `dur` in whole µs"),
    Case(file="exponents.json", data=odd.exponents(), defect="`dur` written as 8e1 and 5.0E+1"),
)

CASES = (*DAMAGED, *HOPELESS, *ODD)
DUPLICATES = {"duplicate-rank/first.json": odd.rank_one(), "duplicate-rank/second.json": odd.rank_one()}
"""Two files of one rank: an error that names both."""
