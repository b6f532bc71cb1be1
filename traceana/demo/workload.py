"""A small diffusion-like program for two ranks: what the demo captures. Standard library and torch only.

A step is some matrix products with an exchange and an all-reduce after each, as a transformer that is split over ranks
has them. Rank 1 comes late to every step, as a rank with more to do on its host does.
"""

import argparse
import os
import socket
import sys
import time

import torch
import torch.distributed as dist

LATE_RANK = 1


def step(number: int, tensors: "tuple[torch.Tensor, ...]", layers: int) -> None:
    """One denoising step: `layers` times a product, an all-to-all and an all-reduce."""
    weight, product, source, target = tensors
    with torch.profiler.record_function(f"denoise_step {number}"):
        for _ in range(layers):
            torch.mm(weight, weight, out=product)
            dist.all_to_all_single(target, source)
            dist.all_reduce(target)


def prepare_late(late_s: float) -> None:
    """What makes a rank late: it prepares its input on the host."""
    with torch.profiler.record_function("prepare_input"):
        time.sleep(late_s)


def run(rank: int, world: int, port: int, options: argparse.Namespace) -> None:
    """One rank, from its process group to its end."""
    device = torch.device("cuda", rank) if options.device == "cuda" else torch.device("cpu")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    else:
        torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", rank=rank, world_size=world)
    weight = torch.full((options.width, options.width), 1e-3, device=device)
    source = torch.full((options.message_bytes // 4,), 1e-3, device=device)
    tensors = weight, torch.empty_like(weight), source, torch.empty_like(source)
    for number in range(options.steps):
        if rank == LATE_RANK:
            prepare_late(options.late_ms / 1e3)
        step(number, tensors, options.layers)
        if device.type == "cuda":
            torch.cuda.synchronize()
    dist.destroy_process_group()


def main(arguments: "list[str] | None" = None) -> int:
    """Start the ranks as forks, which have torch imported already; the worst exit code."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--message-bytes", type=int, default=8 << 20)
    parser.add_argument("--late-ms", type=float, default=4.0)
    options = parser.parse_args(arguments)
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    context = torch.multiprocessing.get_context("fork")
    ranks = [context.Process(target=run, args=(rank, options.ranks, port, options)) for rank in range(options.ranks)]
    for process in ranks:
        process.start()
    for process in ranks:
        process.join()
    return max(abs(process.exitcode or 0) for process in ranks)


if __name__ == "__main__":
    sys.exit(main())
