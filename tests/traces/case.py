"""What one tiny file is and what an analysis must say about it."""

from dataclasses import dataclass

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
    ops: tuple[str, ...] | None = ("all_reduce",)
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
