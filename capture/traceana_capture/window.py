"""The one profiler window of a rank: opened once, closed once, exported as plain JSON beside its final place."""

import contextlib
import gc
import json
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from traceana_capture import routes
from traceana_capture.calls import CALLS
from traceana_capture.control import Control


class Window:
    """Records from `open` to `close`, from whichever thread asks; both do nothing the second time."""

    def __init__(self, settings: dict[str, Any], control: Control) -> None:
        self.settings = settings
        self.control = control
        self.profiler: Any = None
        self.finished = False
        self.graph_captures = 0
        self._due = 0.0
        self._lock = threading.RLock()

    def open(self) -> None:
        """Start recording; a later duration ends it in time for the export to happen in a healthy process."""
        with self._lock:
            if self.profiler is not None or self.finished or not self._wanted():
                return
            config = torch._C._profiler._ExperimentalConfig(profile_all_threads=True)
            activities = [ProfilerActivity.CPU]
            if torch.cuda.is_available():
                activities.append(ProfilerActivity.CUDA)
            self.profiler = profile(
                activities=activities,
                record_shapes=self.settings["shapes"],
                with_stack=self.settings["stacks"],
                profile_memory=self.settings["memory"],
                experimental_config=config,
            )
            with warnings.catch_warnings():
                # torch 2.11 warns of cycles, which a window that opens once has none of; a guest stays silent.
                warnings.simplefilter("ignore")
                self.profiler.start()
            CALLS.recording = True
            with contextlib.suppress(OSError):
                self._mark.touch()
            self.control.send(event="recording", gpu=_gpu())
        timer = threading.Timer(self.settings["duration_s"], self.close, args=("the duration was over",))
        timer.daemon = True
        timer.start()

    @property
    def _mark(self) -> Path:
        """There from the window's start to its export's end, for the guard of a run whose launcher was killed."""
        return Path(self.settings["workdir"]) / f"{os.getpid()}.window"

    def _wanted(self) -> bool:
        """Whether this rank was asked for and the delay, counted from the first call, is over."""
        ranks = self.settings["ranks"]
        if ranks and torch.distributed.get_rank() not in ranks:
            self.finished = True
            self.control.send(event="left out", reason="not among --ranks")
            return False
        self._due = self._due or time.monotonic() + self.settings["delay_s"]
        return time.monotonic() >= self._due

    def close(self, reason: str) -> None:
        """Stop and export; waits while a CUDA graph is captured, because stopping would break the user's graph."""
        while self.graph_captures:
            threading.Event().wait(0.01)
        with self._lock:
            if self.profiler is None or self.finished:
                return
            self.finished = True
            CALLS.recording = False
            self.control.send(event="exporting")
            self.control.send(**self._export(reason))

    def _export(self, reason: str) -> dict[str, Any]:
        folder = Path(self.settings["workdir"])
        trace = folder / f"{os.getpid()}.json"
        try:
            self.profiler.stop()
            self.profiler.export_chrome_trace(str(trace))
            facts = {"records": CALLS.records, "graphs": CALLS.graphs, "adapters": routes.ADAPTERS}
            trace.with_suffix(".calls").write_text(json.dumps(facts))
        except (OSError, RuntimeError) as error:
            return {"event": "failed", "reason": f"the export failed: {error}"}
        finally:
            self.profiler = None
            gc.collect()
            self._mark.unlink(missing_ok=True)
        return {"event": "done", "reason": reason, "trace": str(trace)}

    def forget(self) -> None:
        """In a forked child: the parent's session is not ours to stop, and its lock may be held by nobody here."""
        self._lock = threading.RLock()
        self.profiler = None
        self.finished = False


def _gpu() -> str | None:
    """Its name; a program that left CUDA alone must not be given a context."""
    return torch.cuda.get_device_name() if torch.cuda.is_initialized() else None  # type: ignore[no-untyped-call]
