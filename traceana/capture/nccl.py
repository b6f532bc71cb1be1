"""NCCL's settings for a run: known variables, checked before the run starts."""

import difflib

from traceana.errors import TraceanaError

# From NCCL's user guide, "Environment variables", as far as communication's speed and debugging go.
NAMES = """
    ALGO BUFFSIZE CTA_POLICY CUMEM_ENABLE DEBUG DEBUG_FILE DEBUG_SUBSYS HOSTID IB_DISABLE IB_HCA LAUNCH_MODE
    MAX_CTAS MAX_NCHANNELS MIN_CTAS MIN_NCHANNELS NET NTHREADS NVLS_ENABLE P2P_DISABLE P2P_LEVEL
    P2P_NET_CHUNKSIZE PROTO SHM_DISABLE SOCKET_IFNAME SOCKET_NTHREADS TOPO_DUMP_FILE TOPO_FILE
"""
VARIABLES = frozenset(f"NCCL_{name}" for name in NAMES.split())


def parse(settings: tuple[str, ...]) -> dict[str, str]:
    """KEY=VALUE settings as variables; raises TraceanaError for a name that NCCL does not know."""
    variables = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise TraceanaError(f"--nccl {setting!r} must be KEY=VALUE, such as NCCL_PROTO=Simple")
        if key not in VARIABLES:
            close = difflib.get_close_matches(key, VARIABLES, n=1)
            hint = f"did you mean {close[0]}?" if close else "see NCCL's list of environment variables"
            raise TraceanaError(f"--nccl {key} is not a variable of NCCL that we know; {hint}")
        variables[key] = value
    return variables
