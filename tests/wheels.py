"""Whether sources that are only read, and never run, have the attributes that capture's adapters need."""

import ast
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from traceana_capture.agent.frameworks import Need

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_BLOCKS = (ast.If, ast.Try, ast.With, ast.For, ast.While)


def missing(need: Need, root: Path) -> str:
    """What the packages below `root` lack of the need, in words; empty where they have it all."""
    files = list(_files(need.module, root))
    if not files:
        return "there is no such module"
    lacks = [_lack(need, file, root) for file in files]
    return next((lack for lack in lacks if lack), "")


def _files(module: str, root: Path) -> Iterator[Path]:
    """Of a module, or of all modules whose names end so, where it begins with a dot."""
    path = module.replace(".", "/").removeprefix("/")
    for name in (f"{path}.py", f"{path}/__init__.py"):
        yield from root.rglob(name) if module.startswith(".") else [root / name] if (root / name).is_file() else []


def _lack(need: Need, file: Path, root: Path) -> str:
    owner, _, attribute = need.path.rpartition(".")
    found = _found(_tree(file).body, owner or attribute)
    if found is None:
        return f"{file.relative_to(root)} has no {owner or attribute}"
    if owner:
        if not isinstance(found, ast.ClassDef):
            return f"{file.relative_to(root)}: {owner} is no class"
        found = _of_class(found, attribute, file, root)
        if found is None:
            return f"{file.relative_to(root)}: {owner} has no {attribute}"
    return _without_parameters(need, found, file.relative_to(root))


def _without_parameters(need: Need, found: ast.AST, file: Path) -> str:
    if not need.parameters:
        return ""
    if not isinstance(found, ast.FunctionDef | ast.AsyncFunctionDef):
        return f"{file}: {need.path} is no function"
    arguments = found.args
    known = {argument.arg for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    lost = [parameter for parameter in need.parameters if known.isdisjoint(parameter.split("|"))]
    return f"{file}: {need.path} has no parameter {', '.join(lost)}" if lost else ""


@lru_cache
def _tree(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"))


def _found(body: list[ast.stmt], name: str) -> ast.AST | None:
    """What binds the name among these statements, also under conditions; the last one counts, as in Python."""
    last: ast.AST | None = None
    for statement in body:
        if isinstance(statement, _BLOCKS):
            inner = [one for part in ("body", "orelse", "finalbody") for one in getattr(statement, part, [])]
            inner += [one for handler in getattr(statement, "handlers", []) for one in handler.body]
            last = _found(inner, name) or last
        elif name in _bound(statement):
            last = statement
    return last


def _bound(statement: ast.stmt) -> set[str]:
    if isinstance(statement, Definition):
        return {statement.name}
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in statement.names}
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return {target.id for target in targets if isinstance(target, ast.Name)}


def _of_class(kind: ast.ClassDef, name: str, file: Path, root: Path) -> ast.AST | None:
    """A method or attribute of the class, one that its methods set on `self`, or one of its bases'."""
    found = _found(kind.body, name)
    if found is not None:
        return found
    for node in ast.walk(kind):
        if isinstance(node, ast.Attribute) and node.attr == name and isinstance(node.ctx, ast.Store):
            return node
    for base in kind.bases:
        for source, parent in _base(base, file, root):
            inherited = _of_class(parent, name, source, root)
            if inherited is not None:
                return inherited
    return None


def _base(base: ast.expr, file: Path, root: Path) -> Iterator[tuple[Path, ast.ClassDef]]:
    """The class that a base's name stands for, in the file, or where that imports it from."""
    if not isinstance(base, ast.Name):
        return
    found = _found(_tree(file).body, base.id)
    if isinstance(found, ast.ClassDef):
        yield file, found
    elif isinstance(found, ast.ImportFrom) and found.module:
        for source in _files(found.module, root):
            other = _found(_tree(source).body, base.id)
            if isinstance(other, ast.ClassDef):
                yield source, other
