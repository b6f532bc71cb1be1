"""The versions of frameworks with which capture's adapters were read or tried."""

TRIED: dict[str, tuple[str, ...]] = {"sglang": ("0.5.23",), "vllm": ("0.33.0",), "diffusers": ("0.42.1",)}
