"""How a place in a program's layers is written."""

from traceana.report import LayerCalls


def layer_name(layer: LayerCalls) -> str:
    """ "WanBlock × 30": the class of the layers and their number; a module in none by its class or its path."""
    if layer.layers > 1:
        return f"{layer.layer or 'layer'} × {layer.layers}"
    return layer.layer or layer.module or layer.path
