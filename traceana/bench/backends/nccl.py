"""NCCL called directly, as PyNccl does: a communicator of its own over the libnccl that torch has loaded.

Types and functions are those of nccl.h (https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api.html), which have
kept their form since NCCL 2.7. vLLM's and sglang's PyNcclCommunicator call the same functions the same way.
"""

import ctypes
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
import torch.distributed as dist

from traceana.bench.backends import Call, Unavailable
from traceana.bench.buffers import Buffers
from traceana.bench.world import World

_TYPES = {torch.float16: 6, torch.float32: 7, torch.bfloat16: 9}
_SUM = 0
_UNIQUE_ID_BYTES = 128


class _UniqueId(ctypes.Structure):
    _fields_ = (("internal", ctypes.c_byte * _UNIQUE_ID_BYTES),)


class Libnccl:
    """One communicator over all ranks; calls go onto torch's current stream."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._nccl = _library()
        version = ctypes.c_int()
        self._do("ncclGetVersion", ctypes.byref(version))
        self.detail = f"libnccl {version.value // 10000}.{version.value // 100 % 100}.{version.value % 100} by ctypes"
        self._communicator = self._connect()

    def call(self, buffers: Buffers) -> Call:
        """See Backend."""
        made: dict[str, Callable[[Buffers], None]] = {
            "all_reduce": lambda b: self._run("ncclAllReduce", b, b.source.numel(), _SUM),
            "all_gather": lambda b: self._run("ncclAllGather", b, b.source.numel()),
            "reduce_scatter": lambda b: self._run("ncclReduceScatter", b, b.target.numel(), _SUM),
            "broadcast": lambda b: self._run("ncclBroadcast", b, b.source.numel(), 0),
            "reduce": lambda b: self._run("ncclReduce", b, b.source.numel(), _SUM, 0),
            "all_to_all": self._all_to_all,
            "all_to_allv": self._all_to_all,
            "send_recv": self._ring,
            "send_recv_pair": self._pair,
        }
        return Call(run=partial(made[buffers.op], buffers))

    def _connect(self) -> ctypes.c_void_p:
        unique = _UniqueId()
        if self.world.rank == 0:
            self._do("ncclGetUniqueId", ctypes.byref(unique))
        sent = [bytes(unique.internal)]
        dist.broadcast_object_list(sent, src=0)
        ctypes.memmove(ctypes.byref(unique), sent[0], _UNIQUE_ID_BYTES)
        communicator = ctypes.c_void_p()
        self._do("ncclCommInitRank", ctypes.byref(communicator), self.world.size, unique, self.world.rank)
        return communicator

    def _run(self, function: str, buffers: Buffers, count: int, *middle: int) -> None:
        kind = _TYPES[buffers.source.dtype]
        source, target = (ctypes.c_void_p(one.data_ptr()) for one in (buffers.source, buffers.target))
        self._do(function, source, target, ctypes.c_size_t(count), kind, *middle, self._communicator, _stream())

    def _all_to_all(self, buffers: Buffers) -> None:
        size = self.world.size
        sent = buffers.sent or (buffers.source.numel() // size,) * size
        received = buffers.received or (buffers.target.numel() // size,) * size
        moves = [(peer, sum(sent[:peer]), sent[peer], sum(received[:peer]), received[peer]) for peer in range(size)]
        self._do("ncclGroupStart")
        for peer, from_, count, to, expected in moves:
            self._send(buffers.source, from_, count, peer)
            self._receive(buffers.target, to, expected, peer)
        self._do("ncclGroupEnd")

    def _ring(self, buffers: Buffers) -> None:
        rank, size = self.world.rank, self.world.size
        self._exchange(buffers, (rank + 1) % size, (rank - 1) % size)

    def _pair(self, buffers: Buffers) -> None:
        self._exchange(buffers, self.world.rank ^ 1, self.world.rank ^ 1)

    def _exchange(self, buffers: Buffers, to: int, sender: int) -> None:
        self._do("ncclGroupStart")
        self._send(buffers.source, 0, buffers.source.numel(), to)
        self._receive(buffers.target, 0, buffers.target.numel(), sender)
        self._do("ncclGroupEnd")

    def _send(self, tensor: torch.Tensor, first: int, count: int, peer: int) -> None:
        self._move("ncclSend", tensor, first, count, peer)

    def _receive(self, tensor: torch.Tensor, first: int, count: int, peer: int) -> None:
        self._move("ncclRecv", tensor, first, count, peer)

    def _move(self, function: str, tensor: torch.Tensor, first: int, count: int, peer: int) -> None:
        place = ctypes.c_void_p(tensor.data_ptr() + first * tensor.element_size())
        self._do(function, place, ctypes.c_size_t(count), _TYPES[tensor.dtype], peer, self._communicator, _stream())

    def _do(self, function: str, *arguments: object) -> None:
        code = getattr(self._nccl, function)(*arguments)
        if code:
            self._nccl.ncclGetErrorString.restype = ctypes.c_char_p
            raise Unavailable(f"{function}: {self._nccl.ncclGetErrorString(code).decode()}")


def _library() -> ctypes.CDLL:
    """The libnccl of this process: torch has loaded it, so its name leads to the same one."""
    maps = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace")
    loaded = sorted({line.split()[-1] for line in maps.splitlines() if "libnccl.so" in line})
    if not loaded:
        raise Unavailable("torch has loaded no libnccl of its own (it may be linked into it)")
    return ctypes.CDLL(loaded[0])


def _stream() -> ctypes.c_void_p:
    return ctypes.c_void_p(torch.cuda.current_stream().cuda_stream)
