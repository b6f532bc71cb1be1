import json
from pathlib import Path
from typing import Any

import pytest

from traceana.report import MissingRank, NcclLog
from traceana.trace.manifest import Manifest, read_manifest

RUN = {
    "label": "torch",
    "repeat": 2,
    "argv": ["torchrun", "train.py", "--prompt", "a cat"],
    "started": "2026-01-02T03:04:05+00:00",
    "exit_code": 0,
    "versions": {"torch": "2.11.0", "sglang": None},
    "backend": {"asked": "pynccl", "adapter": None, "seen": ["torch.distributed"], "mismatch": "nothing changed"},
    "window": {"delay_s": 0, "duration_s": 10.0, "step_on": None},
    "environment": {"CUDA_VISIBLE_DEVICES": "0,1"},
    "nccl": {
        "set": {"NCCL_ALGO": "Ring"},
        "preset": ["ring"],
        "ranks": [
            {
                "rank": 0,
                "file": "nccl.rank0.log",
                "version": "2.28.9",
                "network": "Socket",
                "transports": {"SHM": [0, 1]},
                "channels": {"coll": 2},
                "nvls": False,
                "choices": ["AllReduce RING LL"],
                "variables": {"NCCL_ALGO": "Ring"},
            }
        ],
    },
    "ranks": [
        {
            "rank": 0,
            "pid": 7,
            "host": "node-a",
            "outcome": "complete",
            "reason": "",
            "file": "rank0.json.gz",
            "bytes": 9,
        },
        {
            "rank": 1,
            "pid": None,
            "host": None,
            "outcome": "missing",
            "reason": "never appeared",
            "file": None,
            "bytes": 0,
        },
    ],
}


def manifest(folder: Path, content: Any) -> Manifest:
    (folder / "run.json").write_text(json.dumps(content))
    return read_manifest(folder)


def test_all_that_capture_writes_is_read(tmp_path: Path) -> None:
    found = manifest(tmp_path, RUN)
    assert (found.label, found.repeat, found.versions, found.hosts) == ("torch", 2, {"torch": "2.11.0"}, {0: "node-a"})
    setup = found.setup
    assert setup is not None
    assert setup.argv == ("torchrun", "train.py", "--prompt", "a cat")
    assert setup.window == (("delay_s", "0"), ("duration_s", "10.0"))
    assert (setup.backend_asked, setup.backend_seen) == ("pynccl", ("torch.distributed",))
    assert setup.backend_mismatch == "nothing changed"
    assert (setup.nccl_presets, setup.nccl_set) == (("ring",), (("NCCL_ALGO", "Ring"),))
    assert setup.missing == (MissingRank(rank=1, reason="never appeared"),)
    facts = (
        ("version", "2.28.9"),
        ("network", "Socket"),
        ("transports", "SHM (2 channels)"),
        ("channels", "2 coll"),
        ("NVLS", "not available"),
        ("algorithms", "AllReduce RING LL"),
        ("NCCL_ALGO", "Ring"),
    )
    assert setup.nccl_logs == (NcclLog(rank=0, facts=facts),)


@pytest.mark.parametrize("key", [key for key in RUN if key != "argv"])
@pytest.mark.parametrize("value", [3, ["x"], {"x": {"y": 1}}])
def test_a_field_of_another_type_costs_no_other(tmp_path: Path, key: str, value: object) -> None:
    setup = manifest(tmp_path, RUN | {key: value}).setup
    assert setup is not None
    assert setup.argv == ("torchrun", "train.py", "--prompt", "a cat")


@pytest.mark.parametrize("content", [[], "text", {"runs": []}])
def test_a_foreign_file_says_nothing(tmp_path: Path, content: object) -> None:
    assert manifest(tmp_path, content) == Manifest()
