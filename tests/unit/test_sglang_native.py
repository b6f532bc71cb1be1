"""What tests/gpu/run_sglang.sh puts beside sglang where its compiled kernels are missing, and when a run is whole."""

import sys
from dataclasses import replace
from types import ModuleType

import pytest
import torch
from traceana_capture import runfile

from tests.gpu.check_sglang import faults
from tests.gpu.sglang_native import traceana_sglang_native as native

RANK = runfile.Rank(rank=0, pid=1, host="a", outcome="complete", reason="", file="rank0.json.gz", bytes=1)
WHOLE = runfile.FoundRun(ranks=(RANK, replace(RANK, rank=1)))


def kernel_that(module: str, name: str) -> object:
    def ask() -> bool:
        return True

    ask.__module__, ask.__name__ = module, name
    return ask


def test_a_module_takes_its_native_paths() -> None:
    module = ModuleType("layer")
    module._is_cuda = True  # type: ignore[attr-defined]
    module.can_use_it = kernel_that("sglang.kernels.ops.norm", "can_use_it")  # type: ignore[attr-defined]
    module.can_use_own = kernel_that("sglang.multimodal_gen", "can_use_own")  # type: ignore[attr-defined]
    native.take_native_paths(module)
    assert (module._is_cuda, module.can_use_it(), module.can_use_own()) == (False, False, True)


def test_kernels_that_cannot_be_imported_can_be_named() -> None:
    facade = ModuleType("facade")

    def original(name: str) -> object:
        if name == "there":
            return 1
        if name == "unknown":
            raise AttributeError(name)
        raise ModuleNotFoundError("No module named 'cutlass'")

    facade.__getattr__ = original  # type: ignore[method-assign]
    native.import_what_there_is(facade)
    assert facade.there == 1
    assert facade.can_use_norm(1, 2) is False
    with pytest.raises(RuntimeError, match="norm was called, and cannot be imported here: No module named 'cutlass'"):
        facade.norm()
    with pytest.raises(AttributeError):
        _ = facade.unknown


def test_attention_tells_the_sums_that_parts_are_joined_by() -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(2, 8, 3, 16) for _ in range(3))
    scores = torch.einsum("bqhd,bkhd->bhqk", q, k) * 0.5
    out, sums = native.flash_attention(q, k, v, softmax_scale=0.5, return_softmax_lse=True)
    torch.testing.assert_close(sums, scores.logsumexp(-1))
    torch.testing.assert_close(out, torch.einsum("bhqk,bkhd->bqhd", scores.softmax(-1), v))
    torch.testing.assert_close(native.flash_attention(q, k, v, softmax_scale=0.5), out)
    with pytest.raises(NotImplementedError, match="several lengths"):
        native.flash_attention(q, k, v, cu_seqlens_q=torch.tensor([0, 2]))


@pytest.mark.parametrize(
    ("run", "found"),
    [
        (WHOLE, []),
        (runfile.FoundRun(), ["0 ranks recorded"]),
        (replace(WHOLE, ranks=(RANK, replace(RANK, rank=1, outcome="missing", reason="killed"))), ["rank 1: killed"]),
        (replace(WHOLE, ranks=(RANK, replace(RANK, rank=1, still_to_come="2 of 3 steps"))), ["rank 1: 2 of 3 steps"]),
        (replace(WHOLE, backend=replace(WHOLE.backend, mismatch="torch carried some")), ["torch carried some"]),
    ],
)
def test_a_run_is_whole_where_both_ranks_recorded_all_steps(run: runfile.FoundRun, found: list[str]) -> None:
    assert faults(run) == found


def test_the_stand_in_for_compiled_kernels_has_every_name(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(native.__file__.rpartition("/")[0])
    monkeypatch.setattr(sys, "meta_path", list(sys.meta_path))
    import sgl_kernel
    from sgl_kernel.quantization import dequantize
    from sgl_kernel.scalar_type import scalar_types

    assert len({scalar_types.uint4b8, scalar_types.uint8b128}) == 2
    with pytest.raises(RuntimeError, match="dequantize is not installed"):
        dequantize()
    assert not hasattr(sgl_kernel, "__version__")
    for name in [name for name in sys.modules if name.partition(".")[0] == "sgl_kernel"]:
        monkeypatch.delitem(sys.modules, name)
