"""The tensor that the tests' gloo programs reduce."""

# At a program's end torch aborts at times, without capture too ("terminate called without an active exception", exit
# code 134): a thread of gloo lets go of a tensor that only Python has besides, and needs the interpreter for it, which
# is ending. This tensor autograd has as well, for ever.
TENSOR = """
import ctypes, torch
x = torch.ones(8)
held = x * torch.ones(8, requires_grad=True)
ctypes.pythonapi.Py_IncRef(ctypes.py_object(held))
"""
