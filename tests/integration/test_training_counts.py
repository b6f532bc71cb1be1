"""What a training program issued on two GPUs, by its own count, against what `traceana analyze` finds in its traces."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis import analyze
from tests.gpu.check_field import compare, differing, expected_calls

TRACES = Path(__file__).parents[1] / "traces" / "h200" / "training-2r"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return analyze(tmp_path_factory.mktemp("training"), TRACES).run


def test_every_call_has_the_count_and_size_of_the_program(run: Any) -> None:
    rows, faults = compare(run, expected_calls(TRACES))
    assert [row for row in rows if row[1] != row[2]] == []
    assert faults == []
    assert sum(expected for _, expected, _ in rows) == 150


def test_every_call_is_matched_on_one_clock(run: Any) -> None:
    assert run["coverage"]["matched"] == run["coverage"]["collectives"]
    assert {rank["clock_offset_ns"] for rank in run["ranks"]} == {0}


def test_a_call_more_or_a_byte_less_is_seen(run: Any) -> None:
    calls = expected_calls(TRACES)
    for change in ({"count": calls[0]["count"] + 1}, {"bytes": calls[0]["bytes"] - 1}):
        rows, _ = compare(run, [{**calls[0], **change}, *calls[1:]])
        assert differing(rows) in (1, 2)


def test_parts_of_unlike_size_make_one_whole(run: Any) -> None:
    """c10d says on each rank n times its own part, 16000 and 32000 bytes; 24000 are gathered."""
    sizes = {row["message_bytes"] for row in run["operations"] if row["op"] == "all_gather"}
    assert 24_000 in sizes
    assert not sizes & {16_000, 32_000}


def test_uneven_collectives_tell_who_sent_and_received_what(run: Any) -> None:
    """A step's parts of the all-gather are 8,000 and 16,000 bytes; the even calls of the same group do not count."""
    gathered, exchanged = sorted(run["uneven"], key=lambda row: row["op"])
    assert (gathered["op"], gathered["collectives"]) == ("all_gather", 3)
    assert gathered["sent"]["by_rank"] == [3 * 8_000, 3 * 16_000]
    assert gathered["received"]["by_rank"] == [3 * 24_000, 3 * 24_000]
    assert (exchanged["op"], exchanged["sent"]["by_rank"]) == ("all_to_all", [3 * 8_400, 3 * 16_400])
    assert exchanged["matrix"] == [[3 * 4_000, 3 * 4_400], [3 * 8_000, 3 * 8_400]]
