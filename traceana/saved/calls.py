"""The calls of runs as one table, collectives.parquet: its columns, and the way there and back.

One row a rank's call of every run; times in ns, sizes in bytes, null where something is not known. The ranks of a group
are not in it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from traceana.analyze.calls import Calls
from traceana.analyze.collectives import Signature
from traceana.analyze.run import AnalyzedRun
from traceana.saved.arrow import booleans, integers, texts
from traceana.trace.columns import Ints, ModuleName

_OF_SIGNATURE = pa.schema(
    [
        ("op", pa.string()),
        ("dtype", pa.string()),
        ("message_bytes", pa.int64()),
        ("group_size", pa.int64()),
        ("group_name", pa.string()),
        ("backend", pa.string()),
        ("library", pa.string()),
        ("axis", pa.string()),
    ]
)
_OF_MODULE = pa.schema([("module", pa.string()), ("module_class", pa.string()), ("layer", pa.string())])
SCHEMA = pa.schema(
    [
        ("run", pa.string()),
        ("rank", pa.int64()),
        *_OF_SIGNATURE,
        ("site", pa.string()),
        *_OF_MODULE,
        ("seq", pa.int64()),
        ("collective", pa.int64()),
        ("step", pa.int64()),
        ("warm_up", pa.bool_()),
        ("start_ns", pa.int64()),
        ("duration_ns", pa.int64()),
        ("exposed_ns", pa.int64()),
        ("slowed_ns", pa.int64()),
        ("wait_ns", pa.int64()),
        ("transfer_ns", pa.int64()),
    ]
)


# Few values of these are equal: a dictionary of them costs time and saves nothing.
_UNLIKE = ("collective", "start_ns")
REPEATING = [name for name in SCHEMA.names if name not in _UNLIKE]
_FROM_0 = ("seq", "collective", "step")
_TIMES = ("start_ns", "duration_ns", "exposed_ns", "slowed_ns")
_AT_ONCE = 1 << 18
"""Rows of a piece."""
# What earlier versions did not write.
_ADDED = ("axis", *_OF_MODULE.names)


def table(runs: Sequence[AnalyzedRun]) -> pa.Table:
    """All calls of `runs`, run after run."""
    return pa.concat_tables(pieces(runs))


def pieces(runs: Sequence[AnalyzedRun]) -> Iterator[pa.Table]:
    """The same in pieces: as a table, the calls of thousands of ranks take many times their memory."""
    for run in runs:
        for begin in range(0, max(len(run.calls), 1), _AT_ONCE):
            yield _table(run, slice(begin, begin + _AT_ONCE))


def checked(table: pa.Table) -> pa.Table:
    """The table with its columns as they are written, each value checked; raises ArrowException where one is other."""
    schema = pa.schema([field for field in SCHEMA if field.name in table.column_names])
    known = table.select(schema.names).cast(schema)
    known.validate(full=True)
    return known


def calls(table: pa.Table, label: str) -> Calls:
    """The calls of the run of that label. Raises KeyError where a column is missing."""
    # Only what reads a table computes with it, and the import takes as long as that of numpy.
    import pyarrow.compute

    mine = _completed(table.filter(pyarrow.compute.equal(table["run"], label)))
    signature, signatures = _signatures(mine)
    site = mine["site"].combine_chunks().dictionary_encode()
    module, modules = _modules(mine)
    return Calls(
        rank=_ints(mine, "rank"),
        start_ns=_ints(mine, "start_ns"),
        duration_ns=_ints(mine, "duration_ns"),
        exposed_ns=_ints(mine, "exposed_ns"),
        slowed_ns=_ints(mine, "slowed_ns"),
        wait_ns=_ints(mine, "wait_ns", absent=0),
        transfer_ns=_ints(mine, "transfer_ns", absent=0),
        matched=np.asarray(mine["wait_ns"].is_valid()),
        collective=_ints(mine, "collective"),
        seq=_ints(mine, "seq"),
        step=_ints(mine, "step"),
        warm_up=np.asarray(mine["warm_up"]).astype(np.bool_),
        signature=signature,
        signatures=signatures,
        site=np.asarray(site.indices.fill_null(-1)).astype(np.int64),
        sites=tuple(site.dictionary.to_pylist()),
        module=module,
        modules=modules,
    )


def _completed(table: pa.Table) -> pa.Table:
    for name in _ADDED:
        if name not in table.column_names:
            table = table.append_column(name, pa.nulls(len(table), pa.string()))
    return table


def _table(run: AnalyzedRun, rows: slice) -> pa.Table:
    found = run.calls
    matched, module = found.matched[rows], found.module[rows]
    columns = {
        "run": texts([run.report.label], np.zeros(len(matched), dtype=np.int64)),
        "rank": integers(found.rank[rows]),
        "site": texts(found.sites, found.site[rows]),
        "module": texts([module.path for module in found.modules], module),
        "module_class": texts([module.kind for module in found.modules], module),
        "layer": texts([module.layer for module in found.modules], module),
        "warm_up": booleans(found.warm_up[rows]),
        **{name: integers(values, values >= 0) for name in _FROM_0 for values in (getattr(found, name)[rows],)},
        **{name: integers(getattr(found, name)[rows]) for name in _TIMES},
        "wait_ns": integers(found.wait_ns[rows], matched),
        "transfer_ns": integers(found.transfer_ns[rows], matched),
    }
    for field in _OF_SIGNATURE:
        values = [getattr(signature, field.name) for signature in found.signatures]
        columns[field.name] = _of_signature(values, field.type, found.signature[rows])
    return pa.table(columns, schema=SCHEMA)


def _of_signature(values: Sequence[Any], kind: pa.DataType, index: Ints) -> pa.Array:
    if kind == pa.string():
        return texts(values, index)
    known = np.array([value is not None for value in values], dtype=np.bool_)
    return integers(np.array([value or 0 for value in values], dtype=np.int64)[index], known[index])


def _ints(table: pa.Table, name: str, *, absent: int = -1) -> Ints:
    return np.asarray(table[name].fill_null(absent)).astype(np.int64)


def _signatures(table: pa.Table) -> tuple[Ints, tuple[Signature, ...]]:
    """Calls of one kind share a signature."""
    index, found = _distinct(table, _OF_SIGNATURE.names)
    return index, tuple(Signature(group=None, **one) for one in found)


def _modules(table: pa.Table) -> tuple[Ints, tuple[ModuleName, ...]]:
    index, found = _distinct(table, _OF_MODULE.names)
    known = [at for at, one in enumerate(found) if one["module"] is not None]
    names = tuple(
        ModuleName(path=found[at]["module"], kind=found[at]["module_class"], layer=found[at]["layer"]) for at in known
    )
    codes = np.full(len(found), -1, dtype=np.int64)
    codes[known] = np.arange(len(known))
    return codes[index], names


def _distinct(table: pa.Table, columns: Sequence[str]) -> tuple[Ints, list[dict[str, Any]]]:
    """The different rows of some columns, and for each row of the table which of them it is."""
    encoded = {name: table[name].combine_chunks().dictionary_encode() for name in columns}
    codes = [np.asarray(column.indices.fill_null(-1)).astype(np.int64) for column in encoded.values()]
    kinds, index = np.unique(np.stack(codes, axis=1), axis=0, return_inverse=True)
    values = {name: [*column.dictionary.to_pylist(), None] for name, column in encoded.items()}
    found = [{name: values[name][code] for name, code in zip(values, kind, strict=True)} for kind in kinds.tolist()]
    return index.reshape(-1), found
