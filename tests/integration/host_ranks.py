"""Two ranks on gloo whose calls C++, the dispatcher and Python issue; each section has sizes of its own."""

import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, Partial, Replicate

from tests.integration.gloo_tensor import lasting
from tests.integration.two_ranks import run_both

STEPS = 3
functional: Any = torch.ops._c10d_functional


def dispatched() -> None:
    """The first collective of the program is one that no function of c10d's sees."""
    total = functional.wait_tensor(functional.all_reduce(lasting(torch.ones(10)), "sum", "0"))
    assert total[0] == 2
    whole = functional.wait_tensor(functional.all_gather_into_tensor(total[:6], 2, "0"))
    assert whole.shape == (12,)
    part = functional.wait_tensor(functional.reduce_scatter_tensor(whole[:8], "sum", 2, "0"))
    assert part.shape == (4,)
    halves = functional.wait_tensor(functional.all_to_all_single(lasting(torch.ones(16)), [8, 8], [8, 8], "0"))
    assert halves.shape == (16,)
    mesh = init_device_mesh("cpu", (2,))
    summed = DTensor.from_local(torch.ones(14), mesh, [Partial()]).redistribute(mesh, [Replicate()])
    assert summed.to_local()[0] == 2


def point_to_point(rank: int) -> None:
    peer = 1 - rank
    if rank == 0:
        dist.send(lasting(torch.ones(7)), peer)
    else:
        dist.recv(lasting(torch.ones(7)), peer)
    sent, received = lasting(torch.ones(5)), lasting(torch.zeros(5))
    for work in dist.batch_isend_irecv([dist.P2POp(dist.isend, sent, peer), dist.P2POp(dist.irecv, received, peer)]):
        work.wait()
    assert received[0] == 1


def rooted(rank: int) -> None:
    mine, everybodys = lasting(torch.zeros(3)), [lasting(torch.ones(3)) for _ in range(2)]
    dist.scatter(mine, everybodys if rank == 0 else None, src=0)
    dist.gather(mine, everybodys if rank == 0 else None, dst=0)
    dist.barrier()
    dist.all_reduce(lasting(torch.ones(11)))


def layers() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32, bias=False), nn.Linear(32, 8, bias=False))


def sharded() -> nn.Module:
    model, mesh = layers(), init_device_mesh("cpu", (2,))
    for layer in (*model, model):
        fully_shard(layer, mesh=mesh)
    return model


def train(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(STEPS):
        model(torch.ones(4, 64)).sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def work(rank: int, port: str) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"tcp://127.0.0.1:{port}", rank=rank, world_size=2)
    dispatched()
    point_to_point(rank)
    rooted(rank)
    train(nn.parallel.DistributedDataParallel(layers()))
    train(sharded())
    dist.barrier()
    dist.destroy_process_group()
    # What gloo's threads still hold is none of this program's business.
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(run_both(work, sys.argv[1]))
