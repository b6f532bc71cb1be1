"""Calls that share one kernel: `batch_isend_irecv`, coalesced collectives, all between groupStart and groupEnd.

Each of them has a `record_param_comms` of its own, which is over before their one kernel is launched.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from msgspec.structs import replace

from traceana.kernels import UNKNOWN, nccl_name, operation_of_call
from traceana.trace.columns import CallMetadata, Ints, RankTrace


class CallsWithoutKernel:
    """Calls of the host that launched nothing themselves, by thread and in order, each given to one later kernel."""

    def __init__(self, trace: RankTrace, launched: Ints, own: Ints) -> None:
        self._trace = trace
        busy = np.unique(own[own >= 0])
        hosts = trace.host_calls
        idle = np.flatnonzero(~np.isin(hosts.key, busy))
        keys = [
            (row, int(hosts.key[row]))
            for row in idle[np.argsort(hosts.start_ns[idle], kind="stable")].tolist()
            if moves_data(trace.calls[hosts.key[row]])
        ]
        self._waiting: dict[int, list[tuple[int, int]]] = {}
        for row, key in keys:
            self._waiting.setdefault(int(hosts.thread[row]), []).append((int(hosts.start_ns[row]), key))
        known = np.unique(launched[launched >= 0])
        self._launched = {
            int(thread): np.sort(trace.launches.start_ns[known[trace.launches.thread[known] == thread]])
            for thread in np.unique(trace.launches.thread[known])
        }

    def of_kernel(self, launch: int, op: str, *, annotated: bool) -> list[int]:
        """The calls that this launch's kernel ends: those of its operation since the thread's last such launch.

        Unless c10d's annotation is around the launch only sends and receives are taken, and none where gloo is at work:
        its calls have no kernel either.
        """
        if not (annotated or (op == "send_recv" and not len(self._trace.host_collectives.key))):
            return []
        launches = self._trace.launches
        thread, at = int(launches.thread[launch]), int(launches.start_ns[launch])
        before = self._launched[thread]
        place = int(np.searchsorted(before, at, side="left"))
        since = int(before[place - 1]) if place else None
        waiting = self._waiting.get(thread, [])
        near = [key for start, key in waiting if start <= at and (since is None or start > since)]
        return [key for key in near if op in (UNKNOWN, nccl_name(operation_of_call(self._trace.calls[key].name)))]


def together(calls: Sequence[CallMetadata]) -> CallMetadata:
    """One call made of several: elements are summed where they are of one type, sends for themselves."""
    names = list(dict.fromkeys(call.name for call in calls))
    dtypes = {call.dtype for call in calls}
    sent = [call for call in calls if call.name != "recv"] or calls
    return replace(
        calls[0],
        name=names[0] if len(names) == 1 else "+".join(names),
        dtype=dtypes.pop() if len(dtypes) == 1 else None,
        in_nelems=_sum(call.in_nelems for call in sent),
        out_nelems=_sum(call.out_nelems for call in sent),
        group_name=calls[0].group_name if len({call.group_name for call in calls}) == 1 else None,
        sends_to=_ranks(call.sends_to for call in calls),
        receives_from=_ranks(call.receives_from for call in calls),
        in_split=(),
        out_split=(),
    )


def _ranks(peers: Iterable[tuple[int, ...]]) -> tuple[int, ...]:
    return tuple(sorted({rank for some in peers for rank in some}))


def _sum(values: Iterable[int | None]) -> int | None:
    known = list(values)
    return None if None in known else sum(value for value in known if value is not None)


def moves_data(call: CallMetadata) -> bool:
    """Whether ranks exchange anything in the call, so that a kernel or copies must be its own."""
    return operation_of_call(call.name) not in (UNKNOWN, "barrier") and call.group_size != 1
