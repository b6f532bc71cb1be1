"""What NCCL said about itself in its log (NCCL_DEBUG=INFO); wordings of NCCL 2.18 to 2.28, from its source."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from traceana_capture.runfile import NcclLog

VERSION = re.compile(r"NCCL version (\d[\w.]*)")
NETWORK = re.compile(r"NCCL INFO Using network (\w+)")
TRANSPORT = re.compile(
    r"NCCL INFO Channel (\d{1,9})(?:/\d+)? : \d+\[\w+\] -> \d+\[\w+\] (?:\[(?:send|receive)\] )?via (\S+)"
)
CHANNELS = re.compile(r"(?<!\d)(\d{1,9}) (coll|collnet|nvls|p2p) channels(?! per)")
NVLS = re.compile(r"NVLS multicast support is (not )?available")
VARIABLE = re.compile(r"(NCCL_\w{1,60}) set (?:by environment )?to (.+?)\.?$")
CHOICE = re.compile(r"(?:\b(\w{1,40}): )?\b\d{1,20} Bytes -> Algo (\w+) proto (\w+)")
# NCCL before 2.23 wrote the numbers of nccl_tuner.h instead of the names.
ALGORITHMS = ("TREE", "RING", "COLLNET_DIRECT", "COLLNET_CHAIN", "NVLS", "NVLS_TREE", "PAT")
PROTOCOLS = ("LL", "LL128", "SIMPLE")


def read_log(lines: Iterable[str], *, rank: int, file: str) -> NcclLog:
    """The log in short."""
    facts = _Facts()
    for line in lines:
        _read_line(line.rstrip(), facts)
    return NcclLog(
        rank=rank,
        file=file,
        version=facts.version,
        network=facts.network,
        transports={kind: tuple(sorted(channels)) for kind, channels in sorted(facts.transports.items())},
        channels=facts.channels,
        nvls=facts.nvls,
        choices=tuple(sorted(facts.choices)),
        variables=facts.variables,
    )


@dataclass(slots=True, kw_only=True)
class _Facts:
    version: str | None = None
    network: str | None = None
    transports: dict[str, set[int]] = field(default_factory=dict)
    channels: dict[str, int] = field(default_factory=dict)
    nvls: bool | None = None
    choices: set[str] = field(default_factory=set)
    variables: dict[str, str] = field(default_factory=dict)


def _read_line(line: str, facts: _Facts) -> None:
    if found := VERSION.search(line):
        facts.version = facts.version or found[1].partition("+")[0]
    if found := NETWORK.search(line):
        facts.network = found[1]
    if found := TRANSPORT.search(line):
        facts.transports.setdefault(found[2], set()).add(int(found[1]))
    for count, kind in CHANNELS.findall(line):
        facts.channels[kind] = max(int(count), facts.channels.get(kind, 0))
    if found := NVLS.search(line):
        facts.nvls = found[1] is None
    if found := VARIABLE.search(line):
        facts.variables[found[1]] = found[2]
    if found := CHOICE.search(line):
        words = (found[1] or "", _name(found[2], ALGORITHMS), _name(found[3], PROTOCOLS))
        facts.choices.add(" ".join(filter(None, words)))


def _name(word: str, names: tuple[str, ...]) -> str:
    return names[int(word)] if word in map(str, range(len(names))) else word
