"""The program of docs/example.html: a small diffusion transformer under sequence and tensor parallelism.

Usage: torchrun --nproc-per-node 2 example_block.py [STEPS [LAYERS [SEQUENCE]]]. NCCL where each rank has a GPU, else
gloo. A step: 1 broadcast of the latents' header; a block: all-to-alls before and after attention, an all-reduce
behind the row-parallel linear; 1 all-gather of the result. Random weights.
"""

import os
import sys

import torch
import torch.distributed as dist
import torch.nn.functional as functional
from torch import nn
from torch.distributed.device_mesh import init_device_mesh

HEADS, WIDTH = 16, 64


class UlyssesAttention(nn.Module):
    """Heads instead of tokens while attention runs."""

    def __init__(self, hidden: int, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.group, self.qkv, self.out = group, nn.Linear(hidden, 3 * hidden), nn.Linear(hidden, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        ranks, (tokens, hidden) = self.group.size(), x.shape
        mine = self.qkv(x).view(tokens, 3, ranks, -1).permute(2, 0, 1, 3).contiguous()
        whole = torch.empty_like(mine)
        dist.all_to_all_single(whole, mine, group=self.group)
        query, key, value = whole.view(ranks * tokens, 3, HEADS // ranks, WIDTH).transpose(0, 2).unbind(1)
        found = functional.scaled_dot_product_attention(query[None], key[None], value[None])[0]
        parts = found.transpose(0, 1).reshape(ranks, tokens, -1).contiguous()
        back = torch.empty_like(parts)
        dist.all_to_all_single(back, parts, group=self.group)
        result: torch.Tensor = self.out(back.transpose(0, 1).reshape(tokens, hidden))
        return result


class RowParallelLinear(nn.Module):
    """Adds up what the ranks' parts of a matrix give."""

    def __init__(self, inner: int, hidden: int, group: dist.ProcessGroup) -> None:
        super().__init__()
        self.group, self.part = group, nn.Linear(inner // group.size(), hidden, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.part(x)
        dist.all_reduce(found, group=self.group)
        return found


class DiffusionBlock(nn.Module):
    def __init__(self, hidden: int, sequence: dist.ProcessGroup, tensor: dist.ProcessGroup) -> None:
        super().__init__()
        self.attn = UlyssesAttention(hidden, sequence)
        self.up, self.down = (
            nn.Linear(hidden, 4 * hidden // tensor.size()),
            RowParallelLinear(4 * hidden, hidden, tensor),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(functional.layer_norm(x, x.shape[-1:]))
        result: torch.Tensor = x + self.down(functional.gelu(self.up(functional.layer_norm(x, x.shape[-1:]))))
        return result


class DiffusionTransformer(nn.Module):
    def __init__(self, layers: int, sequence: dist.ProcessGroup, tensor: dist.ProcessGroup) -> None:
        super().__init__()
        hidden = HEADS * WIDTH
        self.blocks = nn.ModuleList(DiffusionBlock(hidden, sequence, tensor) for _ in range(layers))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return x


def main(steps: int = 12, layers: int = 16, tokens: int = 16384) -> None:
    rank, ranks = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cuda = torch.cuda.device_count() >= ranks
    device = torch.device("cuda", rank) if cuda else torch.device("cpu")
    if cuda:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if cuda else "gloo", device_id=device if cuda else None)
    sequence = init_device_mesh(device.type, (ranks,), mesh_dim_names=("ulysses",)).get_group()
    tensor = init_device_mesh(device.type, (ranks,), mesh_dim_names=("tp",)).get_group()
    torch.manual_seed(0)
    kind = torch.bfloat16 if cuda else torch.float32
    model = DiffusionTransformer(layers, sequence, tensor).to(device, kind)
    latents = torch.randn(tokens // ranks, HEADS * WIDTH, device=device, dtype=kind)
    header = torch.zeros(32768, device=device, dtype=kind)
    whole = torch.empty(tokens, HEADS * WIDTH, device=device, dtype=kind)
    with torch.no_grad():
        for step in range(steps):
            with torch.profiler.record_function(f"denoise_step {step}"):
                dist.broadcast(header, 0)
                dist.all_gather_into_tensor(whole, model(latents), group=sequence)
                if cuda:
                    torch.cuda.synchronize()
    dist.destroy_process_group()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
