"""The collective calls that ran on one rank's host: gloo's, whose spans are the communication itself."""

from collections.abc import Sequence

import numpy as np

from traceana.analyze.collectives import Collectives, Groups, Signature, in_order, sequence_numbers, signature_of
from traceana.analyze.frames import Sites, sites
from traceana.analyze.modules import stated_modules
from traceana.analyze.numbered import base_name
from traceana.kernels import UNKNOWN, Kind, NameKind
from traceana.trace.columns import CallMetadata, Ints, RankTrace


def host_collectives(trace: RankTrace, exposed_ns: Ints) -> Collectives:
    """Calls of a trace without GPU: the host spans that are the communication."""
    rows = trace.host_collectives
    groups = Groups(trace.header)
    signatures: dict[Signature, int] = {}
    calls = [trace.calls[key] for key in rows.key.tolist()]
    kind = NameKind(kind=Kind.COMMUNICATION, library="gloo", op=UNKNOWN)
    codes = [signatures.setdefault(signature_of(call, kind, groups), len(signatures)) for call in calls]
    found, modules = _stated(calls, sites(trace, rows.thread, rows.start_ns)), stated_modules(calls)
    return in_order(
        Collectives(
            start_ns=rows.start_ns,
            end_ns=rows.end_ns,
            exposed_ns=exposed_ns,
            seq=sequence_numbers(trace.calls, rows.key),
            signature=np.array(codes, dtype=np.int64),
            signatures=tuple(signatures),
            site=found.index,
            sites=found.names,
            module=modules.index,
            modules=modules.names,
        )
    )


def _stated(calls: Sequence[CallMetadata], found: Sites) -> Sites:
    """Where the trace says of a call where it was issued, that; a span of gloo's thread begins when the work does."""
    codes = {name: code for code, name in enumerate(found.names)}
    index = [
        code if call.site is None else codes.setdefault(base_name(call.site), len(codes))
        for call, code in zip(calls, found.index.tolist(), strict=True)
    ]
    return Sites(names=tuple(codes), index=np.array(index, dtype=np.int64))
