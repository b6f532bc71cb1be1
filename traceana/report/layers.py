"""Which modules of the program issued calls, and along which parallel axis calls went."""

import msgspec


class ModuleCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one operation that one `nn.Module` issued, over all ranks; medians as in LayerCalls."""

    path: str
    """From the model, such as `blocks.3.attn.to_out`; its class where that is all that is known."""
    count: int
    p50_ns: int
    transfer_p50_ns: int | None
    sum_ns: int
    exposed_ns: int
    wait_ns: int


class LayerCalls(msgspec.Struct, frozen=True, kw_only=True):
    """The calls of one operation that modules of one class at one place of their layers issued, over all ranks.

    `path` has `*` for the layer's number: `blocks.*.attn.to_out`. `layers` counts the layers, whose class is `layer`,
    None where the modules are in no numbered one or it is not known. Durations are with the wait; `wait_ns` sums the
    waits of matched calls. Medians are of steady calls, or of all where all are warm-up; counts and sums are of all.
    """

    layer: str | None
    layers: int
    path: str
    module: str | None
    """The class of the modules that issued the calls."""
    count: int
    p50_ns: int
    transfer_p50_ns: int | None
    sum_ns: int
    exposed_ns: int
    wait_ns: int
    modules: tuple[ModuleCalls, ...]
    """Those with the most exposed time first; at most 256."""


class AxisCalls(msgspec.Struct, frozen=True, kw_only=True):
    """All calls of groups along one parallel axis (TP, SP, Ulysses, ring, CFG, DP, PP, CP, EP, or several with +).

    By the description that the group's maker gave it; `axis` is None for groups whose description does not tell.
    `groups` counts groups of different ranks, and is 0 where ranks are not known.
    """

    axis: str | None
    group_sizes: tuple[int, ...]
    groups: int
    count: int
    sum_ns: int
    exposed_ns: int
    wait_ns: int
