"""Small traces, each of which leads to one way through the reader: many short runs find more than a few long ones."""

from collections.abc import Iterator

_HEAD = b'{"distributedInfo":{"rank":0,"world_size":2},"baseTimeNanoseconds":17,"traceEvents":['
_TAIL = b'],"traceName":"a"}'

_KERNEL = b'{"ph":"X","cat":"kernel","name":"k","tid":7,"ts":1.5,"dur":2,"args":{"stream":7,"correlation":5}}'
_CALL = (
    b'"External id":3,"Collective name":"allreduce","In msg nelems":4,"Out msg nelems":4,"Group size":2,"dtype":"Half",'
    b'"Process Group Name":"0","Process Group Ranks":"[0, 1]","In split size":"[1,3]","Seq":1'
)
_KINDS = (
    _KERNEL.replace(b'"stream"', b'"grid":[1,1,1],"block":[8,1,1],"External id":3,"device":1,"stream"'),
    _KERNEL.replace(b'"stream"', _CALL + b',"stream"'),
    _KERNEL.replace(b"7,", b'"7",').replace(b"1.5", b'"1790857026000000.125"'),
    _KERNEL.replace(b"1.5", b"1790857026000000.125"),
    b'{"ph":"X","cat":"gpu_memcpy","name":"Memcpy","tid":7,"ts":1e2,"dur":2,"args":{"stream":7,"bytes":5}}',
    b'{"ph":"X","cat":"cuda_runtime","name":"cudaLaunchKernel","tid":9,"ts":1,"dur":1,"args":{"correlation":5}}',
    b'{"ph":"X","cat":"cuda_driver","name":"cudaGraphLaunch","tid":9,"ts":1,"dur":1,"args":{"correlation":5}}',
    b'{"ph":"X","cat":"cuda_runtime","name":"cudaStreamWaitEvent","tid":9,"ts":1,"dur":1}',
    b'{"ph":"X","cat":"cuda_sync","name":"Stream Wait Event","tid":9,"ts":1,"dur":1,"args":{"stream":7,"correlation":5,'
    b'"wait_on_stream":8,"wait_on_cuda_event_record_corr_id":4}}',
    b'{"ph":"X","cat":"gpu_user_annotation","name":"nccl:all_reduce","tid":7,"ts":1,"dur":1}',
    b'{"ph":"X","cat":"cpu_op","name":"record_param_comms","tid":9,"ts":1,"dur":1,"args":{' + _CALL + b"}}",
    b'{"ph":"X","cat":"user_annotation","name":"nccl:all_reduce","tid":9,"ts":1,"dur":1,"args":{' + _CALL + b"}}",
    b'{"ph":"X","cat":"user_annotation","name":"gloo:all_reduce","tid":9,"ts":1,"dur":1,"args":{"Input Dims":[[2,3]],'
    b'"Input type":["float"]}}',
    b'{"ph":"X","cat":"user_annotation","name":"step 1","tid":9,"ts":1,"dur":1}',
    b'{"ph":"X","cat":"python_function","name":"nn.Module: L_0","tid":9,"ts":1,"dur":1}',
    b'{"ph":"X","cat":"Trace","name":"PyTorch Profiler (0)","tid":"t","ts":1,"dur":9}',
    b'{"ph":"X","cat":"privateuse1","name":"k","tid":9,"ts":1,"dur":9}',
    b'{"ph":"X","cat":"kernel","name":"k","tid":7,"ts":1.5,"dur":null,"args":{"stream":"7","correlation":18446744073709551615}}',
    b'{"ph":"s","id":5,"pid":0,"tid":9,"ts":1,"cat":"ac2g","name":"ac2g"}',
)
_DAMAGE = (
    (b'"ts":', b'"ts":NaN,"x":-Infinity,"y":'),
    (b'"dur":2', b'"dur":2,5'),
    (b'"name":"', b'"name":"\xe9\n'),
    (b'"name":"', b'"name":"a"b'),
    (b'"name":"k"', b'"name":"k'),
    (b'"name":"k"', b'"name":"\\"\\\\","e":{"ph":"X","ts":1}'),
    (b'"args":', b'"args":[{"name":1},{"name":2}],"args":'),
    (b"}}", b"}"),
    (b"}}", b"}}]"),
    (b"{", b""),
    (b',"tid":7', b',"tid"'),
)
_STACKS = b'{"with_stack":1,"distributedInfo":{"rank":0},"traceEvents":['
_SEQUENCE = (
    b'{"ph":"X","cat":"cpu_op","name":"%s","tid":9,"ts":1,"dur":1,"args":{"Sequence number":3,"Fwd thread id":0}}'
)


def trace_seeds() -> Iterator[bytes]:
    """Traces of one event a kind, then good ones around each kind of damage, then odd files."""
    for event in _KINDS:
        yield _HEAD + event + _TAIL
    yield _STACKS + _SEQUENCE % b"aten::mm" + b"," + _SEQUENCE % b"autograd::engine::evaluate_function: M" + _TAIL
    for good, bad in _DAMAGE:
        yield _HEAD + b",".join((_KERNEL, _KERNEL.replace(good, bad, 1), _KERNEL)) + _TAIL
    yield _HEAD + _KERNEL + _KERNEL + b"\n" + _KERNEL + b",]" + _TAIL[1:]
    yield _HEAD + _KERNEL + b"," + _KERNEL[:40]
    yield _HEAD + _KERNEL + _TAIL + _HEAD + _KERNEL + _TAIL
    yield b"\xef\xbb\xbf[" + _KERNEL + b",\r\n" + _KERNEL + b"]"
    yield b'{"traceEvents":[' + _KERNEL + b'],"deviceProperties":[{"id":0,"name":"H"}],"host_name":"h"}'
