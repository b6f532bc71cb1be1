"""A plugin of sglang 0.5.23's diffusion runtime: what its compiled kernels do, done by its native paths in torch.

For machines without sgl_kernel; tests/gpu/run_sglang.sh puts this folder on PYTHONPATH there. Collectives, layers and
their sizes stay as they are; compute takes longer than with the kernels.
"""

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any, NoReturn

import torch

ATTENTION: dict[str, Callable[..., Any]] = {
    "cuda": torch.ops.aten._scaled_dot_product_flash_attention,
    "cpu": torch.ops.aten._scaled_dot_product_flash_attention_for_cpu,
}
RUNTIME = "sglang.multimodal_gen.runtime."
DISPATCH = RUNTIME + "layers.custom_op.CustomOp.dispatch_forward"
# Modules that ask once, at import, whether to call kernels for CUDA that no custom operator stands for.
ASK_AT_IMPORT = tuple(
    RUNTIME + name
    for name in (
        "layers.layernorm",
        "layers.rotary_embedding.utils",
        "layers.usp",
        "layers.visual_embedding",
        "models.dits.wanvideo",
        "models.vaes.wanvae",
    )
)
KERNELS = "sglang.kernels."
FACADE = KERNELS + "ops.diffusion"
FLASH_ATTENTION = RUNTIME + "layers.attention.backends.flash_attn"


def native(self: Any) -> Callable[..., Any]:
    """Instead of CustomOp.dispatch_forward."""
    forward: Callable[..., Any] = self.forward_native
    return forward


def never(*_: object, **__: object) -> bool:
    """Instead of a question whether a kernel can be used."""
    return False


def missing(name: str, cause: ImportError) -> Callable[..., Any]:
    """Instead of a kernel that cannot be imported, so that what would call it can be."""

    def call(*_: object, **__: object) -> NoReturn:
        raise RuntimeError(f"{name} was called, and cannot be imported here: {cause}")

    return call


def import_what_there_is(facade: ModuleType) -> None:
    """Let names be imported from sglang's package of kernels whose own imports (CuTe's compiler) fail."""
    original: Callable[[str], Any] = facade.__getattr__

    def found(name: str) -> Any:
        try:
            return original(name)
        except ImportError as error:
            return never if name.startswith("can_use_") else missing(name, error)

    facade.__getattr__ = found  # type: ignore[method-assign]


def take_native_paths(module: ModuleType) -> None:
    """Let a module that is imported find neither CUDA's own paths nor a kernel that can be used."""
    names = vars(module)
    if "_is_cuda" in names:
        names["_is_cuda"] = False
    for name, value in list(names.items()):
        if name.startswith("can_use_") and getattr(value, "__module__", "").startswith(KERNELS):
            names[name] = never


def flash_attention(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    cu_seqlens_q: torch.Tensor | None = None,
    softmax_scale: float | None = None,
    causal: bool = False,
    return_softmax_lse: bool = False,
    **_: object,
) -> Any:
    """Instead of flash_attn_varlen_func, by torch's own kernel: [batch, sequence, heads, size], and [batch, heads,
    sequence] of the log-sum-exp that ring attention joins its parts by.
    """
    if cu_seqlens_q is not None:
        raise NotImplementedError("sequences of several lengths in one tensor")
    kernel = ATTENTION[q.device.type]
    out, sums, *_rest = kernel(*(x.transpose(1, 2) for x in (q, k, v)), 0.0, causal, scale=softmax_scale)
    return (out.transpose(1, 2), sums) if return_softmax_lse else out.transpose(1, 2)


def activate() -> None:
    """Called by sglang in every process, before a model is made."""
    from sglang.multimodal_gen.runtime.platforms.plugins import HookRegistry, HookType

    HookRegistry.register(DISPATCH, native, HookType.REPLACE)
    import_what_there_is(importlib.import_module(FACADE))
    importlib.import_module(FLASH_ATTENTION).flash_attn_varlen_func = flash_attention  # type: ignore[attr-defined]
    for name in ASK_AT_IMPORT:
        importlib.import_module(name)
    for name, module in list(sys.modules.items()):
        if name.startswith((RUNTIME, KERNELS)):
            take_native_paths(module)
