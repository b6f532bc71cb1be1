"""Tensors that the tests' gloo programs may send until they end."""

import ctypes
import inspect

import torch


def lasting(tensor: torch.Tensor) -> torch.Tensor:
    """The tensor, which autograd has too from now on, for ever.

    At a program's end torch aborts at times, without capture too ("terminate called without an active exception", exit
    code 134): a thread of gloo lets go of a tensor that only Python has besides, and needs the interpreter for it,
    which is ending.
    """
    held = tensor * torch.ones(tensor.shape, requires_grad=True)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    return tensor


# For programs that run where this module is not found.
TENSOR = f"import ctypes, torch\n{inspect.getsource(lasting)}\nx = lasting(torch.ones(8))\n"
