import pytest

from traceana.errors import TraceanaError
from traceana.kernels import (
    Kind,
    classify,
    may_communicate,
    nccl_name,
    operation_of_call,
    parse_comm_kernel,
    parse_compute_kernel,
)


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
        ("ncclSymkDevKernel_AllReduce_RSxLD_AGxST_sum_bf16(ncclSymkDevWorkArgs4K)", "nccl", "all_reduce"),
        ("void sglang::all_reduce_1shot<nv_bfloat16>(void*)", "custom", "all_reduce"),
        ("void vllm::pcie_ipc_ar_kernel<float, 2>(float*)", "custom", "all_reduce"),
        ("allreduce_prototype_twoshot<bf16, 8>", "custom", "all_reduce"),
        ("symm_mem_barrier(unsigned int**)", "symm_mem", "barrier"),
        (
            "void c10d::symmetric_memory::(anonymous namespace)::barrier_kernel(unsigned)",
            "symm_mem",
            "barrier",
        ),
        ("void kuserbuffers_pushsend(int*, int*, int4*, int4*, int)", "userbuffers", "send_recv"),
        (
            "void mori::moe::EpCombineInterNodeKernel<__hip_bfloat16>(float*)",
            "mori",
            "all_to_all",
        ),
        ("tensorrt_llm::kernels::moe_comm::moeAllToAllKernel<true>", "trtllm", "all_to_all"),
        ("tensorrt_llm::kernels::mnnvl_throughput::moeA2ACombineKernel<BlockPolicy, 8>", "trtllm", "all_to_all"),
        ("void pplx::a2a_kernels::combine_recv_kernel<8>", "pplx", "all_to_all"),
        ("oneccl_allreduce_base<float, 2>", "oneccl", "all_reduce"),
        ("hcom_allGather__123_0", "hccl", "all_gather"),
        ("void deep_ep::internode_ll::dispatch<true, 3, 7168>(void*)", "deepep", "all_to_all"),
        ("void tensorrt_llm::kernels::oneShotAllReduceKernel<__nv_bfloat16, 8>", "custom", "all_reduce"),
        ("void flashinfer::trtllm_mnnvl::twoshotAllreduceKernel<8>", "custom", "all_reduce"),
        ("void flashinfer::trtllm_mnnvl::oneshotAllreduceFusionKernel<8>", "fused", "all_reduce"),
        ("lamport_style_one_shot_all_reduce_norm_kernel<half>", "fused", "all_reduce"),
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
        "triton_poi_fused_all_reduce_0",
        "triton_red_fused__to_copy_one_shot_all_reduce_rms_norm_1",
        "triton_per_fused_nccl_all_gather_into_tensor_2",
        "deepep_post_reorder_triton_kernel",
        "void moe::dispatch_tokens<float>(float*)",
        "nvjet_tst_128x256_64x4_2x1_v_bz_coopA_NNT",
    ],
)
def test_compute_kernels(name: str) -> None:
    assert classify(name, "kernel").kind is Kind.COMPUTE


def test_own_patterns_come_first_and_copies_are_memory() -> None:
    own = parse_comm_kernel("mylib=my_ring_.*")
    assert classify("my_ring_exchange", "kernel", [own]).library == "mylib"
    assert classify("Memcpy DtoD (ncclDevKernel)", "gpu_memcpy").kind is Kind.MEMORY


@pytest.mark.parametrize("text", ["noequals", "=x", "name=", "name=("])
def test_bad_patterns_say_what_to_write(text: str) -> None:
    with pytest.raises(TraceanaError, match="--comm-kernel"):
        parse_comm_kernel(text)


def test_a_pattern_for_compute_takes_a_kernel_out() -> None:
    own = [parse_compute_kernel("nccl.*Reduce")]
    assert classify("ncclDevKernel_AllReduce_Sum_f32_RING_LL", "kernel", own).kind is Kind.COMPUTE


@pytest.mark.parametrize(
    ("word", "op"),
    [
        ("_allgather_base", "all_gather"),
        ("allreduce_coalesced", "all_reduce"),
        ("_reduce_scatter_base", "reduce_scatter"),
        ("all_to_allv", "all_to_all"),
        ("broadcast", "broadcast"),
        ("reduce", "reduce"),
        ("gather", "gather"),
        ("send", "send_recv"),
        ("barrier", "barrier"),
        ("init", "unknown"),
    ],
)
def test_words_of_c10d(word: str, op: str) -> None:
    assert operation_of_call(word) == op


def test_nccl_makes_many_operations_of_one_kernel() -> None:
    assert [nccl_name(op) for op in ("gather", "all_to_all", "all_reduce", "other")] == [
        "send_recv",
        "send_recv",
        "all_reduce",
        "unknown",
    ]


@pytest.mark.parametrize(
    "name", ["flagcx::ring_allreduce_kernel<8>", "void mine::AllGatherKernel", "mooncake::ep::dispatch", "a2a_push"]
)
def test_a_name_that_no_pattern_knows_may_be_a_collective_s(name: str) -> None:
    assert may_communicate(name)
    assert not may_communicate(name, [parse_compute_kernel(".*")])


@pytest.mark.parametrize(
    "name", ["triton_poi_fused_all_reduce_0", "reduce_kernel", "vectorized_gather_kernel", "splitkv_combine_kernel"]
)
def test_words_that_compute_kernels_have_raise_no_doubt(name: str) -> None:
    assert not may_communicate(name)
