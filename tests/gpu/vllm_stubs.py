"""What vLLM's communicators import and do not need: its configuration, and AMD's operators.

With `without_gpus` also what stands for CUDA on a machine without one: tensors stay on the CPU, gloo carries what NCCL
and vLLM's compiled operators would, and all Python of vLLM's communicators is its own.
"""

import contextlib
import ctypes
import importlib
import sys
import types
from typing import Any, ClassVar

import torch
import torch.distributed as dist

# As NCCL numbers them.
TYPES = (torch.int8, torch.uint8, torch.int32, None, torch.int64, None, torch.float16, torch.float32, torch.float64)
BFLOAT16 = 9
# NCCL's first version that knows what vLLM 0.33 asks of the library.
VERSION = 22907
META_BYTES = 4096


def module(name: str, **members: Any) -> types.ModuleType:
    made = sys.modules[name] = types.ModuleType(name)
    made.__dict__.update(members)
    return made


def without_configuration() -> None:
    """Leave out vLLM's configuration, which imports half of all packages, and AMD's operators."""
    sizes = type("PassConfig", (), {"default_fi_allreduce_fusion_max_size_mb": staticmethod(lambda: {2: 64})})
    module("vllm.config", get_current_vllm_config_or_none=lambda: None).__path__ = []
    module("vllm.config.compilation", PassConfig=sizes)
    module("vllm._aiter_ops", rocm_aiter_ops=types.SimpleNamespace(is_custom_all_reduce_enabled=lambda: False))


class Stream:
    """The only stream there is."""

    cuda_stream = 0

    def synchronize(self) -> None: ...

    def wait_stream(self, _: "Stream") -> None: ...


def without_gpus() -> None:
    """Have vLLM take this machine for one with CUDA, and gloo for what it compiles."""
    module("vllm._C_stable_libtorch")
    module("vllm.third_party.pynvml")
    platforms: Any = importlib.import_module("vllm.platforms")
    interface: Any = platforms.interface.Platform

    class Platform(interface):  # type: ignore[misc]
        _enum = platforms.PlatformEnum.CUDA
        device_name = device_type = "cpu"

        def __getattr__(self, name: str) -> Any:
            raise AttributeError(name)

    Platform.get_device_communicator_cls = lambda *_: (
        "vllm.distributed.device_communicators.cuda_communicator.CudaCommunicator"
    )
    Platform.get_device_capability = lambda *_: platforms.interface.DeviceCapability(9, 0)
    Platform.is_fully_connected = lambda *_: True
    Platform.import_kernels = lambda *_: None
    Platform.visible_device_id_to_physical_device_id = lambda *given: given[-1] or 0
    Platform.logical_device_id_to_visible_device_id = lambda *given: given[-1]
    # Only who chooses the device learns that there is none.
    Platform.is_cuda_alike = lambda *_: sys._getframe(1).f_globals["__name__"] != "vllm.distributed.parallel_state"
    platforms._current_platform = Platform()
    torch.cuda.can_device_access_peer = lambda *_: True
    torch.cuda.is_current_stream_capturing = lambda: False
    operators()
    symmetric_memory()


def world() -> Any:
    """The default group itself, whose methods capture does not see."""
    return dist.group.WORLD


def reduced(tensor: torch.Tensor) -> torch.Tensor:
    result = tensor.contiguous().clone()
    world().allreduce([result]).wait()
    return result


def operators() -> None:
    """The operators of csrc/custom_all_reduce.cu and custom_all_gather_reduce_scatter.cu, by gloo."""
    library = library_of("_C_custom_ar", "FRAGMENT")

    def summed(_: int, inp: torch.Tensor, out: torch.Tensor, *__: int) -> None:
        out.copy_(reduced(inp))

    def gathered(_: int, inp: torch.Tensor, out: torch.Tensor, *__: int) -> None:
        world()._allgather_base(out, inp.contiguous()).wait()

    def scattered(_: int, inp: torch.Tensor, out: torch.Tensor, *__: int) -> None:
        out.copy_(reduced(inp).chunk(dist.get_world_size())[dist.get_rank()])

    made: dict[str, tuple[str, Any]] = {
        "init_custom_ar": (
            "(int[] ipc_tensors, Tensor rank_data, int rank, bool fully_connected) -> int",
            lambda *_: 1,
        ),
        "all_reduce": (
            "(int fa, Tensor inp, Tensor! out, int reg_buffer, int reg_buffer_sz_bytes) -> ()",
            summed,
        ),
        "custom_all_gather": (
            "(int fa, Tensor inp, Tensor! out, int reg_buffer, int reg_buffer_sz_bytes) -> ()",
            gathered,
        ),
        "custom_reduce_scatter": (
            "(int fa, Tensor inp, Tensor! out, int reg_buffer, int reg_buffer_sz_bytes) -> ()",
            scattered,
        ),
        "dispose": ("(int fa) -> ()", lambda *_: None),
        "meta_size": ("() -> int", lambda: META_BYTES),
        "register_buffer": ("(int fa, int[] ipc_tensors) -> ()", lambda *_: None),
        "get_graph_buffer_ipc_meta": ("(int fa) -> (int[], int[])", lambda *_: ([1], [0])),
        "register_graph_buffers": ("(int fa, int[][] handles, int[][] offsets) -> ()", lambda *_: None),
        "allocate_shared_buffer_and_handle": ("(int size) -> (int, Tensor)", lambda _: (1, torch.zeros(64))),
        "open_mem_handle": ("(Tensor mem_handle) -> int", lambda _: 2),
        "free_shared_buffer": ("(int ptr) -> ()", lambda _: None),
    }
    for name, (schema, function) in made.items():
        library.define(name + schema)
        library.impl(name, function, "CompositeExplicitAutograd")


def symmetric_memory() -> None:
    """Buffers on the CPU, of which those of elements can be multicast, and the operator on them."""
    from torch.distributed import _symmetric_memory

    def rendezvous(tensor: torch.Tensor, _: str) -> Any:
        return types.SimpleNamespace(multicast_ptr=int(tensor.dtype == torch.bfloat16))

    _symmetric_memory.empty = lambda *size, device, dtype: torch.empty(*size, dtype=dtype)  # type: ignore[assignment]
    _symmetric_memory.rendezvous = rendezvous  # type: ignore[assignment]
    library = library_of("symm_mem", "IMPL")
    library.impl("two_shot_all_reduce_", lambda inp, *_: inp.copy_(reduced(inp)), "CPU")


KEPT: list[Any] = []


def library_of(name: str, kind: str) -> Any:
    """A library of operators, which lives as long as it is kept."""
    KEPT.append(torch.library.Library(name, kind))  # type: ignore[no-untyped-call]
    return KEPT[-1]


def without_nccl() -> Any:
    """Have vLLM's NCCLLibrary find functions that gloo carries; returns the wrapper's module."""
    place = "vllm.distributed.device_communicators."
    pynccl: Any
    pynccl_wrapper: Any
    pynccl, pynccl_wrapper = (importlib.import_module(place + name) for name in ("pynccl", "pynccl_wrapper"))
    functions = {name: getattr(Gloo, name) for name in dir(Gloo) if name.startswith("nccl")}

    def init(self: Any, _: str | None = None) -> None:
        self._funcs, self.lib = functions, None

    pynccl_wrapper.NCCLLibrary.__init__ = init
    pynccl.current_stream = Stream
    accelerator: Any = torch.accelerator
    accelerator.device_index = lambda _: contextlib.nullcontext()
    accelerator.synchronize = accelerator.set_device_index = lambda *_: None
    return pynccl_wrapper


def at(pointer: Any, count: int, datatype: int) -> torch.Tensor:
    """The memory there as a tensor."""
    kind: Any = torch.bfloat16 if datatype == BFLOAT16 else TYPES[datatype]
    size = count * kind.itemsize
    return torch.frombuffer((ctypes.c_char * size).from_address(pointer.value), dtype=kind, count=count)


class Gloo:
    """NCCL's functions as its C library has them, on the default group; in a group they run where it ends."""

    depth = 0
    waiting: ClassVar[list[Any]] = []

    @staticmethod
    def ncclGetVersion(version: Any) -> int:
        version._obj.value = VERSION
        return 0

    @staticmethod
    def ncclGetUniqueId(_: Any) -> int:
        return 0

    @staticmethod
    def ncclCommInitRank(comm: Any, *_: Any) -> int:
        comm._obj.value = 0x1234
        return 0

    @staticmethod
    def ncclCommAbort(_: Any) -> int:
        return 0

    @staticmethod
    def ncclGroupStart() -> int:
        Gloo.depth += 1
        return 0

    @staticmethod
    def ncclGroupEnd() -> int:
        Gloo.depth -= 1
        waiting, Gloo.waiting = Gloo.waiting, Gloo.waiting if Gloo.depth else []
        if not Gloo.depth:
            Gloo.wait([function() for function in waiting])
        return 0

    @staticmethod
    def later(function: Any) -> int:
        if Gloo.depth:
            Gloo.waiting.append(function)
        else:
            Gloo.wait([function()])
        return 0

    @staticmethod
    def wait(results: list[Any]) -> None:
        for work in results:
            if isinstance(work, dist.Work):
                work.wait()

    @staticmethod
    def ncclAllReduce(send: Any, receive: Any, count: int, datatype: int, _: int, *__: Any) -> int:
        return Gloo.later(lambda: at(receive, count, datatype).copy_(reduced(at(send, count, datatype))))

    @staticmethod
    def ncclReduce(send: Any, receive: Any, count: int, datatype: int, _: int, root: int, *__: Any) -> int:
        def run() -> None:
            result = reduced(at(send, count, datatype))
            if dist.get_rank() == root:
                at(receive, count, datatype).copy_(result)

        return Gloo.later(run)

    @staticmethod
    def ncclAllGather(send: Any, receive: Any, count: int, datatype: int, *_: Any) -> int:
        whole = count * dist.get_world_size()
        return Gloo.later(
            lambda: world()._allgather_base(at(receive, whole, datatype), at(send, count, datatype).clone())
        )

    @staticmethod
    def ncclReduceScatter(send: Any, receive: Any, count: int, datatype: int, *_: Any) -> int:
        def run() -> None:
            whole = reduced(at(send, count * dist.get_world_size(), datatype))
            at(receive, count, datatype).copy_(whole.chunk(dist.get_world_size())[dist.get_rank()])

        return Gloo.later(run)

    @staticmethod
    def ncclBroadcast(send: Any, receive: Any, count: int, datatype: int, root: int, *_: Any) -> int:
        def run() -> None:
            if dist.get_rank() == root:
                at(receive, count, datatype).copy_(at(send, count, datatype))
            world().broadcast(at(receive, count, datatype), root).wait()

        return Gloo.later(run)

    @staticmethod
    def ncclSend(send: Any, count: int, datatype: int, peer: int, *_: Any) -> int:
        return Gloo.later(lambda: world().send([at(send, count, datatype)], peer, 0))

    @staticmethod
    def ncclRecv(receive: Any, count: int, datatype: int, peer: int, *_: Any) -> int:
        return Gloo.later(lambda: world().recv([at(receive, count, datatype)], peer, 0))
