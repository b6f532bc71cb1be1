"""The adapter of diffusers on the real package, with a pipeline too small to need weights."""

import importlib.util
import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
from traceana_capture.agent import adapters
class Triggers:
    modules, step_on, seen = set(), "", []
    def watch(self, module): pass
    def __getattr__(self, name): return lambda: self.seen.append(name)
triggers = Triggers()
adapters.watch_imports(triggers, "asis")
import torch, diffusers
size = dict(sample_size=8, in_channels=3, out_channels=3, layers_per_block=1, norm_num_groups=8)
blocks = dict(block_out_channels=(32,), down_block_types=("DownBlock2D",), up_block_types=("UpBlock2D",))
pipeline = diffusers.DDIMPipeline(diffusers.UNet2DModel(**size, **blocks), diffusers.DDIMScheduler())
pipeline.set_progress_bar_config(disable=True)
with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
    pipeline(num_inference_steps=2)
names = [e.name for e in profiler.events() if e.name.startswith(("denoise_step", "pipeline"))]
print(json.dumps([triggers.seen, sorted(names)]))
"""


@pytest.mark.skipif(importlib.util.find_spec("diffusers") is None, reason="diffusers is not installed")
def test_a_real_pipeline_has_spans_and_steps() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    seen, names = json.loads(done.stdout.splitlines()[-1])
    assert seen == ["work", "begin_step", "end_step", "begin_step", "end_step"]
    assert names == ["denoise_step 0", "denoise_step 1", "pipeline DDIMPipeline"]
