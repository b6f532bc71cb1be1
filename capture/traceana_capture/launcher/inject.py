"""Gets the agent into every process of the command that imports torch, through torch's own `torch.backends` hook."""

import json
import os
from pathlib import Path

import traceana_capture
from traceana_capture.launcher import backends, nccl_settings
from traceana_capture.launcher.options import Options

ENTRY_POINT = "[torch.backends]\ntraceana = traceana_capture.agent.entry:start\n"
# The variable that torch heeds, and its older name.
FLIGHT_RECORDER = ("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_TRACE_BUFFER_SIZE")
# In the scratch folder, on PYTHONPATH: a link to this package.
PACKAGE = "traceana_capture"
METADATA = "Metadata-Version: 2.1\nName: traceana-capture-agent\nVersion: 1\n"


def inject(scratch: Path, options: Options) -> dict[str, str]:
    """Lay out the folder that goes onto PYTHONPATH and return the command's environment."""
    (scratch / PACKAGE).symlink_to(Path(str(traceana_capture.__file__)).parent)
    info = scratch / "traceana_capture_agent-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "entry_points.txt").write_text(ENTRY_POINT)
    path = os.pathsep.join(filter(None, [str(scratch), os.environ.get("PYTHONPATH")]))
    return {
        **os.environ,
        "KINETO_LOG_LEVEL": os.environ.get("KINETO_LOG_LEVEL", "99"),
        **backends.environment(options.backend),
        **_flight_recorder(options),
        **options.nccl,
        **nccl_settings.logging(os.environ, options.nccl, scratch),
        "PYTHONPATH": path,
        "TRACEANA_CAPTURE": json.dumps(_settings(scratch, options)),
    }


def _flight_recorder(options: Options) -> dict[str, str]:
    """Room for a window's calls in torch's own record of the latest, which holds 2,000 unless told otherwise."""
    if not os.environ.keys().isdisjoint(FLIGHT_RECORDER):
        return {}
    return {FLIGHT_RECORDER[0]: str(max(2000, options.max_collectives))}


def _settings(scratch: Path, options: Options) -> dict[str, object]:
    return {
        "socket": str(scratch / "control"),
        "workdir": str(scratch),
        "duration_s": options.duration_s,
        "delay_s": options.delay_s,
        "ranks": options.ranks,
        "shapes": options.shapes,
        "stacks": options.stacks,
        "memory": options.memory,
        "all_threads": options.all_threads,
        "max_collectives": options.max_collectives,
        "max_memory_mib": options.max_memory_mib,
        "backend": options.backend,
        "paired": {pairing.operation: pairing.backends for pairing in options.paired},
        "start_on": options.start_on,
        "step_on": options.step_on,
        "warmup": options.warmup,
        "steps": options.steps,
    }
