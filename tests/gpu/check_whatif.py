"""How near `traceana whatif` came to the steps that were measured with NCCL_P2P_DISABLE=1.

Usage: check_whatif.py FOLDER, as run_whatif.sh leaves it. Each run without it predicts the run of its size and number
with it, and the other way round, and a run with a late rank predicts those without; fails where one of these, but for
the other way round, is off by more than 10 %.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

NEAR = 0.10
NUMBERS = {16384: (1, 2), 32768: (1,)}
"""Runs by sequence length."""


def whatif(folder: Path, *arguments: str) -> dict[str, Any] | None:
    """What the command says of one run, or None with its words."""
    words = [sys.executable, "-m", "traceana", "whatif", str(folder), "--format", "json", *arguments]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"  {folder.name}: {done.stderr.strip()}")
        return None
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _ms(ns: int) -> str:
    return f"{ns / 1e6:.3f}"


def predicted(output: Path, seq: int, off: int) -> list[float]:
    """Predictions of runs with NCCL_P2P_DISABLE=`off` from those without, as shares of what was measured."""
    shares = []
    for number in NUMBERS[seq]:
        measured = whatif(output / "runs" / f"seq{seq}.p2p-disabled-{off}.{number}")
        source = output / "runs" / f"seq{seq}.p2p-disabled-{1 - off}.{number}"
        found = whatif(source, "--backend-from", str(output / f"bench.{off}.json"))
        if measured is None or found is None:
            continue
        shares.append(found["predicted_step_ns"] / measured["measured_step_ns"])
        low, high = (_ms(found[key]) for key in ("low_ns", "high_ns"))
        print(
            f"seq {seq} run {number}, NCCL_P2P_DISABLE {1 - off} to {off}: from {_ms(found['measured_step_ns'])} ms "
            f"(replayed {_ms(found['replayed_step_ns'])}), predicted {_ms(found['predicted_step_ns'])} "
            f"({low} to {high}), measured {_ms(measured['measured_step_ns'])}: {100 * (shares[-1] - 1):+.1f} %"
        )
        for note in found["notes"]:
            print(f"  mind: {note}")
    return shares


def without_late_rank(output: Path) -> list[float]:
    """The prediction of a run without its late rank, as a share of what such runs took on the mean."""
    found = whatif(output / "runs" / "late", "--no-straggler")
    even = [whatif(output / "runs" / f"seq16384.p2p-disabled-0.{number}") for number in NUMBERS[16384]]
    measured = [one["measured_step_ns"] for one in even if one]
    if found is None or not measured:
        return []
    share: float = found["predicted_step_ns"] * len(measured) / sum(measured)
    print(
        f"late, {found['change']}: from {_ms(found['measured_step_ns'])} ms, predicted "
        f"{_ms(found['predicted_step_ns'])}, measured {', '.join(map(_ms, measured))}: {100 * (share - 1):+.1f} %"
    )
    return [share]


def transfers(output: Path) -> None:
    """Transfers in the runs beside the bench's."""
    for off in (0, 1):
        rows = json.loads((output / f"bench.{off}.json").read_text())["rows"]
        print(f"bench, NCCL_P2P_DISABLE={off}:", {(r["op"], r["message_bytes"]): r["p50_ns"] // 1000 for r in rows})
        for seq in NUMBERS:
            folder = output / "runs" / f"seq{seq}.p2p-disabled-{off}.1"
            report = output / "reports" / folder.name
            words = [sys.executable, "-m", "traceana", "analyze", str(folder), "-o", str(report), "--format", "json"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            operations = json.loads(done.stdout)["runs"][0]["operations"] if not done.returncode else []
            for one in operations:
                print(
                    f"  {folder.name}",
                    one["op"],
                    one["message_bytes"],
                    (one["transfer_ns"] or one["duration_ns"])["p50"] // 1000,
                )


def main() -> int:
    output = Path(sys.argv[1])
    transfers(output)
    found = {seq: predicted(output, seq, 1) for seq in NUMBERS}
    for seq in NUMBERS:
        predicted(output, seq, 0)
    found[0] = without_late_rank(output)
    off = [abs(share - 1) for shares in found.values() for share in shares]
    if len(off) < sum(map(len, NUMBERS.values())) + 1 or max(off) > NEAR:
        print("FAILED: predictions off by", [f"{100 * one:.1f} %" for one in off])
        return 1
    print(f"whatif: {len(off)} predictions, the worst {100 * max(off):.1f} % off")
    return 0


if __name__ == "__main__":
    sys.exit(main())
