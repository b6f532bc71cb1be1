"""What adapters need of frameworks, by attribute, and the versions with which that was read or tried."""

from dataclasses import dataclass

TRIED: dict[str, tuple[str, ...]] = {"sglang": ("0.5.23",), "vllm": ("0.33.0",), "diffusers": ("0.42.1",)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """An attribute of a module, and where it is a function, parameters that it must have by name.

    A `module` that begins with a dot stands for all whose names end so; a parameter may be one of several, with |
    between.
    """

    module: str
    path: str
    parameters: tuple[str, ...] = ()
