"""Kernels by their own names."""

import pytest

from traceana.render.answer.late import kernel_name


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("at::cuda::(anonymous namespace)::spin_kernel(long)", "spin_kernel"),
        (
            "void at::native::vectorized_elementwise_kernel<4, at::native::Add<float> >(int)",
            "vectorized_elementwise_kernel",
        ),
        (
            "void cutlass::Kernel2<cutlass_80_simt_sgemm_128x32_8x5_nn_align1>(Params)",
            "cutlass_80_simt_sgemm_128x32_8x5_nn_align1",
        ),
        ("triton_poi_fused_add_0", "triton_poi_fused_add_0"),
        ("(lambda)", "(lambda)"),
    ],
)
def test_a_kernel_s_own_name(name: str, own: str) -> None:
    assert kernel_name(name) == own
