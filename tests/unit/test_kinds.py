import pytest

from traceana.errors import TraceanaError
from traceana.kernels import Kind, classify, parse_pattern


@pytest.mark.parametrize(
    ("name", "library", "op"),
    [
        ("ncclDevKernel_AllReduce_Sum_bf16_RING_LL(ncclDevKernelArgsStorage<4096ul>)", "nccl", "all_reduce"),
        ("ncclDevKernel_ReduceScatter_Sum_f32_RING_LL(ncclDevComm*)", "nccl", "reduce_scatter"),
        ("ncclDevKernel_Reduce_Sum_f32_RING_LL(ncclDevComm*)", "nccl", "reduce"),
        ("ncclKernel_SendRecv_RING_SIMPLE_Sum_int8_t(ncclDevComm*, unsigned long, ncclWork*)", "nccl", "send_recv"),
        ("ncclDevKernel_Generic(ncclDevKernelArgsStorage<4096ul>)", "nccl", "unknown"),
        (
            "void (anonymous namespace)::multimem_all_reduce_kernel<c10::BFloat16, 16>(c10::BFloat16*)",
            "symm_mem",
            "all_reduce",
        ),
        ("void sglang::cross_device_reduce_1stage<nv_bfloat16, 2>(RankData*)", "custom", "all_reduce"),
        ("void all_reduce_1shot_push_kernel<2>(void*)", "custom", "all_reduce"),
        ("spin_wait_kernel(unsigned int*)", "ipc", "all_to_all"),
        ("nvshmemi_transfer_rma_kernel", "nvshmem", "unknown"),
        ("void deep_ep::internode_ll::dispatch<true, 3, 7168>(void*)", "deepep", "all_to_all"),
    ],
)
def test_communication_kernels(name: str, library: str, op: str) -> None:
    found = classify(name, "kernel")
    assert (found.kind, found.library, found.op) == (Kind.COMMUNICATION, library, op)


@pytest.mark.parametrize(
    "name",
    [
        "void at::native::reduce_kernel<512, 1, at::native::ReduceOp<float>>",
        "void cublasLt::splitKreduce_kernel<32, 16, int, float>",
        "nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT",
    ],
)
def test_compute_kernels(name: str) -> None:
    assert classify(name, "kernel").kind is Kind.COMPUTE


def test_own_patterns_come_first_and_copies_are_memory() -> None:
    own = parse_pattern("mylib=my_ring_.*")
    assert classify("my_ring_exchange", "kernel", [own]).library == "mylib"
    assert classify("Memcpy DtoD (ncclDevKernel)", "gpu_memcpy").kind is Kind.MEMORY


@pytest.mark.parametrize("text", ["noequals", "=x", "name=", "name=("])
def test_bad_patterns_say_what_to_write(text: str) -> None:
    with pytest.raises(TraceanaError, match="--comm-kernel"):
        parse_pattern(text)
