"""The tensor that the tests' gloo programs reduce."""

import ctypes
import inspect

import torch


def lasting_tensor() -> torch.Tensor:
    """Eight ones that autograd has too, for ever.

    At a program's end torch aborts at times, without capture too ("terminate called without an active exception", exit
    code 134): a thread of gloo lets go of a tensor that only Python has besides, and needs the interpreter for it,
    which is ending.
    """
    tensor = torch.ones(8)
    held = tensor * torch.ones(8, requires_grad=True)
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
    return tensor


# For programs that run where this module is not found.
TENSOR = f"import ctypes, torch\n{inspect.getsource(lasting_tensor)}\nx = lasting_tensor()\n"
