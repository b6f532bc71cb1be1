"""Where `traceana open` opens, and what it tells users of ssh."""

import getpass

import pytest
from msgspec.structs import replace

from tests import reports
from traceana.commands.open import port_forward
from traceana.perfetto.places import Place
from traceana.perfetto.ui import PUBLIC_UI, address
from traceana.render.page.open_at import open_command


def test_the_address_names_the_place_in_nanoseconds() -> None:
    assert address(PUBLIC_UI, Place(start_ns=10, end_ns=20)).endswith("&visStart=10&visEnd=20")
    assert "visStart" not in address(PUBLIC_UI, None)


def test_a_place_is_shown_with_its_surroundings_inside_the_trace() -> None:
    assert Place(start_ns=100, end_ns=300).widened() == Place(start_ns=90, end_ns=310)
    assert Place(start_ns=-5, end_ns=310).within(0, 300) == Place(start_ns=0, end_ns=300)


def test_a_command_can_be_pasted() -> None:
    run = replace(reports.run("torch"), path="my traces")
    assert open_command(run, "denoise_step 3") == "traceana open 'my traces' --at 'denoise_step 3'"
    of_files = replace(run, named_files=("my traces/rank0.json", "my traces/rank1.json"))
    assert open_command(of_files, "a") == "traceana open 'my traces/rank0.json' 'my traces/rank1.json' --at a"
    of_many = replace(run, named_files=tuple(f"my traces/rank{rank}.json" for rank in range(64)))
    assert open_command(of_many, "a") == "traceana open 'my traces' --at a"


@pytest.mark.parametrize(
    ("connection", "expected"),
    [
        ("10.0.0.1 5000 10.0.0.2 22", "ssh -N -L 8123:127.0.0.1:8123 {user}@10.0.0.2"),
        ("10.0.0.1 5000 10.0.0.2 2222", "ssh -N -L 8123:127.0.0.1:8123 -p 2222 {user}@10.0.0.2"),
        ("garbage", None),
        ("", None),
    ],
)
def test_over_ssh_the_forward_is_told(connection: str, expected: str | None) -> None:
    told = port_forward(8123, {"SSH_CONNECTION": connection})
    assert told == (expected and expected.format(user=getpass.getuser()))


def test_without_ssh_nothing_is_told() -> None:
    assert port_forward(8123, {}) is None
