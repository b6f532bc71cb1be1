"""The backends that `--backend` knows by name, a row each: what turns one on, and every other way off.

Read in sglang 0.5.23 and vLLM 0.33. What a backend does not carry goes through NCCL, as the framework falls back to it.
"""

from dataclasses import dataclass, field

# Whether sglang's diffusion runtime exchanges by CUDA IPC: two ranks, any number, and in parts beside attention.
IPC_TWO, IPC_MANY = "SGLANG_DIFFUSION_IPC_A2A", "SGLANG_DIFFUSION_IPC_A2A_MULTI"
IPC_PARTS = "SGLANG_DIFFUSION_ULYSSES_PIPELINE_GROUPS"
# Whether sglang's language runtime, and vLLM, take FlashInfer's all-reduce for GPUs that PCIe alone joins.
SRT_PCIE, VLLM_PCIE = "SGLANG_ENABLE_PCIE_IPC_ALLREDUCE", "VLLM_ALLREDUCE_USE_FLASHINFER_PCIE_IPC"
VLLM_SYMMETRIC = "VLLM_ALLREDUCE_USE_SYMM_MEM"
VLLM_NCCL_SYMMETRIC = "VLLM_USE_NCCL_SYMM_MEM"
VLLM_PYNCCL = "VLLM_DISABLE_PYNCCL"
_OFF = dict.fromkeys(
    (
        *(IPC_TWO, IPC_MANY, IPC_PARTS),
        *(SRT_PCIE, VLLM_PCIE),
        *(VLLM_SYMMETRIC, "VLLM_ALLREDUCE_USE_FLASHINFER"),
    ),
    "0",
)

DIFFUSION_CUSTOM, DIFFUSION_PYNCCL = "use_srt_custom_allreduce", "use_device_communicator"
SRT_CUSTOM, SRT_SYMMETRIC, SRT_PYNCCL = "use_custom_allreduce", "use_torch_symm_mem_all_reduce", "use_pynccl"
SRT_MSCCLPP = "use_mscclpp"
SRT_OFF = dict.fromkeys((SRT_CUSTOM, SRT_MSCCLPP, SRT_SYMMETRIC), False)

_DIFFUSION = "sglang.multimodal_gen.runtime.distributed."
_SRT, _VLLM = "sglang.srt.distributed.", "vllm.distributed."
# A key, in traces, of a call by which a framework tries a communicator that it makes: nothing asked for that.
MAKING = "traceana making"
# A key of a call whose kernel NCCL names after another operation, with c10d's word for that.
KERNEL = "traceana kernel"

# What `--paired` can run twice.
OPERATIONS = ("all_reduce", "broadcast", "all_gather", "reduce_scatter", "all_to_all")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A backend that can be asked for.

    `title` is what traces call it, and `variables` are the command's. `diffusion` and `srt` are arguments of the
    GroupCoordinator of sglang's two runtimes, and `vllm_custom` is whether vLLM's custom all-reduce is on; each is None
    where the framework has no such way. With `every_call`, all that another one carries is a mismatch; without, it is
    one only where the backend carried nothing. `sources` are modules, each with a word of its text, of which the
    command's Python must have one; empty where there is nothing to look for. `pairs` are the operations of `--paired`
    that it carries, and `pairs_by` is the module, with a word, by which it does so in sglang's diffusion runtime.
    """

    title: str
    variables: dict[str, str]
    diffusion: dict[str, bool] | None = None
    srt: dict[str, bool] | None = None
    vllm_custom: bool | None = None
    every_call: bool = False
    needs_gpu: bool = True
    sources: tuple[tuple[str, str], ...] = field(default=())
    pairs: tuple[str, ...] = ()
    pairs_by: tuple[str, str] = (f"{_DIFFUSION}group_coordinator", "GroupCoordinator")

    @property
    def frameworks(self) -> tuple[str, ...]:
        """The packages of `sources`."""
        return tuple(dict.fromkeys(module.partition(".")[0] for module, _ in self.sources))


CHOICES = {
    "torch": Choice(
        title="torch.distributed",
        variables=_OFF | {VLLM_PYNCCL: "1", VLLM_NCCL_SYMMETRIC: "0"},
        diffusion={DIFFUSION_CUSTOM: False},
        srt=SRT_OFF | {SRT_PYNCCL: False},
        vllm_custom=False,
        every_call=True,
        needs_gpu=False,
        pairs=OPERATIONS,
    ),
    "pynccl": Choice(
        title="pynccl",
        variables=_OFF | {VLLM_PYNCCL: "0"},
        diffusion={DIFFUSION_CUSTOM: False, DIFFUSION_PYNCCL: True},
        srt=SRT_OFF | {SRT_PYNCCL: True},
        vllm_custom=False,
        every_call=True,
        sources=tuple(
            (f"{place}device_communicators.pynccl", "PyNcclCommunicator") for place in (_DIFFUSION, _SRT, _VLLM)
        ),
        pairs=OPERATIONS,
        pairs_by=(f"{_DIFFUSION}device_communicators.pynccl", "PyNcclCommunicator"),
    ),
    "custom": Choice(
        title="custom all-reduce",
        variables=_OFF | {VLLM_NCCL_SYMMETRIC: "0"},
        # Of which groups is left to sglang: a CUDA graph over one that sglang does not prepare would fault.
        diffusion={},
        srt=SRT_OFF | {SRT_CUSTOM: True},
        vllm_custom=True,
        sources=(
            (f"{_DIFFUSION}group_coordinator", DIFFUSION_CUSTOM),
            (f"{_SRT}parallel_state", "set_custom_all_reduce"),
            (f"{_VLLM}parallel_state", "set_custom_all_reduce"),
        ),
        pairs=("all_reduce",),
        pairs_by=(f"{_DIFFUSION}group_coordinator", "_init_srt_custom_allreduce"),
    ),
    "ipc": Choice(
        title="CUDA IPC",
        # Not in parts: the calls are then those of the other backends.
        variables=_OFF | {IPC_TWO: "1", IPC_MANY: "1"},
        diffusion={DIFFUSION_CUSTOM: False},
        sources=(("sglang.multimodal_gen.envs", IPC_TWO),),
        pairs=("all_to_all",),
        pairs_by=(f"{_DIFFUSION}device_communicators.ipc_a2a_multi", "IpcA2AMultiState"),
    ),
    "symm_mem": Choice(
        title="symmetric memory",
        variables=_OFF | {VLLM_NCCL_SYMMETRIC: "0", VLLM_SYMMETRIC: "1"},
        srt=SRT_OFF | {SRT_SYMMETRIC: True},
        vllm_custom=False,
        sources=((f"{_SRT}parallel_state", "set_torch_symm_mem_all_reduce"), ("vllm.envs", VLLM_SYMMETRIC)),
        pairs=("all_reduce",),
    ),
}
