from pathlib import Path

from traceana_capture.launcher.nccl_log import read_log
from traceana_capture.runfile import NcclLog

LOG = """\
gpu-a:71:71 [0] NCCL INFO NCCL_DEBUG set by environment to INFO.
gpu-a:71:71 [0] NCCL INFO NCCL_SOCKET_IFNAME set to eth0
gpu-a:71:71 [0] NCCL INFO NCCL version 2.27.5+cuda12.9
gpu-a:71:80 [0] NCCL INFO NVLS multicast support is available on dev 0 (NVLS_NCHANNELS 16)
gpu-a:71:80 [0] NCCL INFO Channel 00/24 :    0   1
gpu-a:71:80 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[1] via P2P/CUMEM
gpu-a:71:80 [0] NCCL INFO Channel 01/0 : 0[0] -> 1[1] via P2P/CUMEM
gpu-a:71:80 [0] NCCL INFO Channel 01/0 : 0[0] -> 2[0] [send] via NET/IB/3/GDRDMA
gpu-a:71:80 [0] NCCL INFO 24 coll channels, 16 nvls channels, 32 p2p channels, 2 p2p channels per peer
gpu-a:71:90 [0] NCCL INFO AllReduce: 4194304 Bytes -> Algo RING proto SIMPLE channel{Lo..Hi}={0..23}
gpu-a:71:90 [0] NCCL INFO AllReduce: 4194304 Bytes -> Algo RING proto SIMPLE channel{Lo..Hi}={0..23}
"""


def test_a_log_in_short() -> None:
    assert read_log(LOG.splitlines(), rank=1, file="nccl.rank1.log") == NcclLog(
        rank=1,
        file="nccl.rank1.log",
        version="2.27.5",
        network=None,
        transports={"NET/IB/3/GDRDMA": (1,), "P2P/CUMEM": (0, 1)},
        channels={"coll": 24, "nvls": 16, "p2p": 32},
        nvls=True,
        choices=("AllReduce RING SIMPLE",),
        variables={"NCCL_DEBUG": "INFO", "NCCL_SOCKET_IFNAME": "eth0"},
    )


def test_a_real_log_of_two_hosts() -> None:
    """Rank 0 of two, one collective of each kind, NCCL 2.28.9, with NCCL_PROTO=Simple."""
    file = Path(__file__).parents[1] / "logs" / "nccl-2.28.9.log"
    assert read_log(file.read_text().splitlines(), rank=0, file="") == NcclLog(
        rank=0,
        file="",
        version="2.28.9",
        network="Socket",
        transports={"NET/Socket/0": (0, 1), "NET/Socket/0/Shared": (0, 1)},
        channels={"coll": 2, "collnet": 2, "nvls": 0, "p2p": 2},
        nvls=None,
        choices=("AllGather RING SIMPLE", "AllReduce RING SIMPLE", "Broadcast RING SIMPLE"),
        variables={
            "NCCL_SOCKET_IFNAME": "lo",
            "NCCL_IB_DISABLE": "1",
            "NCCL_HOSTID": "host0",
            "NCCL_PROTO": "Simple",
        },
    )


def test_older_wordings() -> None:
    lines = [
        "a:1:2 [0] NCCL INFO NVLS multicast support is not available on dev 0",
        "a:1:2 [0] NCCL INFO Channel 00 : 0[1b000] -> 1[1c000] via SHM/direct/direct",
        "a:1:2 [0] NCCL INFO 8388608 Bytes -> Algo 1 proto 2 time 82.100000",
    ]
    log = read_log(lines, rank=0, file="")
    assert (log.nvls, log.transports, log.choices) == (False, {"SHM/direct/direct": (0,)}, ("RING SIMPLE",))


def test_a_log_without_a_word_says_nothing() -> None:
    assert read_log([], rank=0, file="").version is None


def test_a_long_line_is_read_once() -> None:
    lines = ("9" * (1 << 18), "NCCL_" * (1 << 16), "1 " * (1 << 17))
    log = read_log(lines, rank=0, file="")
    assert (log.choices, log.variables) == ((), {})
