"""Both ranks of a program on gloo, as processes of their own."""

from collections.abc import Callable
from typing import Any

import torch.multiprocessing


def run_both(work: Callable[..., None], *given: Any, start: str = "fork") -> int:
    """Run `work(rank, *given)` on each, and give the worse exit code, which is positive for a signal too."""
    context: Any = torch.multiprocessing.get_context(start)
    ranks = [context.Process(target=work, args=(rank, *given), daemon=True) for rank in range(2)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    codes: list[int] = [abs(process.exitcode or 0) for process in ranks]
    return max(codes)
