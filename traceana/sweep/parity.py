"""Whether a cell makes what the baseline makes: files by their hash, else how far images and tensors are apart.

PSNR is 10 log10(255² / mean squared difference) of 8-bit values (ITU-T J.340).
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from traceana import units
from traceana.sweep.journal import Output
from traceana.sweep.report import Parity

WORST_PSNR_DB = 30.0
"""Below this, 8-bit images differ visibly."""
LARGEST_DIFFERENCE = 0.02
"""Of tensors, relative to the largest value: above what another order of bfloat16 sums brings."""
_LARGEST_FILE = 1 << 30
_IMAGES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
_VIDEOS = (".mp4", ".gif", ".webm")
Array = npt.NDArray[Any]


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """What one run made: its files, and the folder in which they lie."""

    folder: Path
    outputs: tuple[Output, ...]


def compare(baseline: Sequence[Made], cell: Sequence[Made]) -> Parity:
    """A cell's runs against the baseline's; where the baseline's own runs differ, by how far these are apart."""
    if not baseline or not baseline[0].outputs:
        return Parity(status="unknown", detail="the baseline left no files in {out}")
    if not cell or not cell[0].outputs:
        return Parity(status="differs", detail="it left no files, and the baseline did")
    hashes = {_hashes(run) for run in baseline}
    if {_hashes(run) for run in cell} <= hashes:
        return Parity(status="same", detail=f"the same bytes in {units.plural(len(cell[0].outputs), 'file')}")
    found = _apart(baseline[0], cell[0])
    if found.status == "differs" and len(hashes) > 1 and _no_farther(found, _widest(baseline)):
        return _with(found, "close", f"{found.detail}; the baseline's own runs are as far apart")
    return found


def _hashes(run: Made) -> tuple[str, ...]:
    return tuple(output.sha256 for output in run.outputs)


def _widest(runs: Sequence[Made]) -> Parity:
    """How far the first run and the others are apart at most."""
    found = [_apart(runs[0], other) for other in runs[1:]]
    return Parity(
        status="differs",
        detail="",
        psnr_db=min((one.psnr_db for one in found if one.psnr_db is not None), default=None),
        max_difference=max((one.max_difference for one in found if one.max_difference is not None), default=None),
    )


def _no_farther(found: Parity, widest: Parity) -> bool:
    images = found.psnr_db is None or (widest.psnr_db is not None and found.psnr_db >= widest.psnr_db)
    tensors = found.max_difference is None or (
        widest.max_difference is not None and found.max_difference <= widest.max_difference
    )
    return images and tensors and (found.psnr_db is not None or found.max_difference is not None)


def _with(found: Parity, status: str, detail: str) -> Parity:
    return Parity(status=status, detail=detail, psnr_db=found.psnr_db, max_difference=found.max_difference)


def _apart(a: Made, b: Made) -> Parity:
    """File by file, in the order of their names: names may hold a time or a number of the run."""
    if len(a.outputs) != len(b.outputs):
        return Parity(
            status="differs", detail=f"{units.plural(len(b.outputs), 'file')}, and the baseline has {len(a.outputs)}"
        )
    psnr: list[float] = []
    differences: list[float] = []
    for ours, theirs in zip(a.outputs, b.outputs, strict=True):
        if ours.sha256 == theirs.sha256:
            continue
        problem = _compare_files(a.folder / ours.file, b.folder / theirs.file, psnr, differences)
        if problem:
            return Parity(status=problem[0], detail=f"{theirs.file}: {problem[1]}")
    return _judged(min(psnr, default=None), max(differences, default=None))


def _judged(psnr_db: float | None, difference: float | None) -> Parity:
    parts = []
    if psnr_db is not None:
        parts.append("equal pixels" if math.isinf(psnr_db) else f"PSNR {psnr_db:.1f} dB")
    if difference is not None:
        parts.append(f"largest difference {difference:.2g} of the largest value")
    far = (psnr_db is not None and psnr_db < WORST_PSNR_DB) or (difference or 0) > LARGEST_DIFFERENCE
    return Parity(
        status="differs" if far else "close",
        detail=", ".join(parts) or "equal",
        psnr_db=None if psnr_db is None or math.isinf(psnr_db) else psnr_db,
        max_difference=difference,
    )


def _compare_files(ours: Path, theirs: Path, psnr: list[float], differences: list[float]) -> tuple[str, str] | None:
    """Adds to one of the lists, or says in which status and why that cannot be."""
    read = _reader(ours)
    if read is None:
        return "unknown", f"other bytes, and how far {ours.suffix or 'such files'} differ cannot be told"
    try:
        a, b = (read(path).astype(np.float64) for path in (ours, theirs))
    except ImportError as error:
        return "unknown", f"other bytes; to tell how far, {_install(error)}"
    except Exception as error:  # whatever a stranger's file makes a decoder raise
        return "unknown", f"other bytes, and it cannot be read ({error})"
    if a.shape != b.shape:
        return "differs", f"shape {b.shape}, and the baseline has {a.shape}"
    if not np.isfinite(b).all():
        return "differs", "it has values that are no numbers"
    if ours.suffix.lower() in (*_IMAGES, *_VIDEOS):
        psnr.append(_psnr_db(a, b))
    else:
        largest = float(np.abs(a).max(initial=0))
        differences.append(float(np.abs(a - b).max(initial=0)) / (largest or 1.0))
    return None


def _install(error: ImportError) -> str:
    return "pip install 'traceana[sweep]'" if error.name == "imageio" else f"install {error.name}"


def _psnr_db(a: Array, b: Array) -> float:
    error = float(np.mean((a - b) ** 2))
    return 10 * math.log10(255**2 / error) if error else math.inf


def _reader(path: Path) -> Callable[[Path], Array] | None:
    suffix = path.suffix.lower()
    if path.stat().st_size > _LARGEST_FILE:
        return None
    if suffix in _IMAGES:
        return _image
    if suffix in _VIDEOS:
        return _video
    return {".npy": _numpy, ".pt": _torch, ".safetensors": _safetensors}.get(suffix)


def _image(path: Path) -> Array:
    import imageio.v3

    return np.asarray(imageio.v3.imread(path, mode="RGB"))


def _video(path: Path) -> Array:
    import imageio.v3

    return np.stack(list(imageio.v3.imiter(path)))


def _numpy(path: Path) -> Array:
    return np.asarray(np.load(path, allow_pickle=False))


def _torch(path: Path) -> Array:
    import torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    return _flat(found if isinstance(found, dict) else {"": found})


def _safetensors(path: Path) -> Array:
    from safetensors.torch import load_file

    return _flat(load_file(path))


def _flat(tensors: dict[Any, Any]) -> Array:
    """All tensors behind each other, by name."""
    parts = [tensors[name].detach().double().flatten().numpy() for name in sorted(tensors, key=str)]
    return np.concatenate(parts) if parts else np.zeros(0)
