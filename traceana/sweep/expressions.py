"""Arithmetic over the values of axes, as in `ulysses * ring == gpus`: a small part of Python that can call nothing."""

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

from traceana.errors import TraceanaError

Value = int | float | str | bool

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARED: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def evaluate(expression: str, values: Mapping[str, str]) -> Value:
    """The expression's value; texts of `values` that are numbers count as these.

    Raises TraceanaError for what is no such expression, names what `values` lacks, or divides by zero.
    """
    try:
        return _value(ast.parse(expression, mode="eval").body, values)
    except (SyntaxError, TypeError, ValueError, RecursionError, ZeroDivisionError) as error:
        reason = error.msg if isinstance(error, SyntaxError) else error
        raise TraceanaError(
            f"{expression!r} cannot be evaluated: {reason}; write such as 'ulysses * ring == 4'"
        ) from None


def names(expression: str) -> frozenset[str]:
    """What the expression names. Raises TraceanaError where it is none."""
    try:
        tree = ast.parse(expression, mode="eval")
    except SyntaxError as error:
        raise TraceanaError(
            f"{expression!r} cannot be read: {error.msg}; write such as 'ulysses * ring == 4'"
        ) from None
    return frozenset(node.id for node in ast.walk(tree) if isinstance(node, ast.Name))


def number(text: str) -> Value:
    """The number that a text is, else the text."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _value(node: ast.expr, values: Mapping[str, str]) -> Value:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            return value
        case ast.Name(id=name) if name in values:
            return number(values[name])
        case ast.Name(id=name):
            raise ValueError(f"there is no {name}, only {', '.join(values) or 'no name at all'}")
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _BINARY:
            result: Value = _BINARY[type(op)](_value(left, values), _value(right, values))
            return result
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return not _value(operand, values)
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_value(part, values) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_value(part, values) for part in parts)
        case ast.IfExp(test=test, body=body, orelse=other):
            return _value(body if _value(test, values) else other, values)
        case ast.Compare(left=left, ops=ops, comparators=others) if all(type(op) in _COMPARED for op in ops):
            sides = [_value(part, values) for part in (left, *others)]
            pairs = zip(ops, sides, sides[1:], strict=False)
            return all(_COMPARED[type(op)](a, b) for op, a, b in pairs)
    raise ValueError(f"{ast.unparse(node)} is more than numbers, names, + - * / // % and comparisons")
