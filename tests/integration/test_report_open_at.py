"""The report's commands lead to places that `traceana open` finds."""

import re
import shlex
from html import unescape
from pathlib import Path

import pytest

from tests.analysis import analyze
from tests.synthetic import Call, Run, write_run
from traceana.commands.open import shown_file
from traceana.perfetto.places import find
from traceana.perfetto.plan import plan

CALLS = (
    Call(op="all_to_all", nelems=1 << 20, delays_ns={1: 150_000}),
    Call(op="all_reduce", nelems=1 << 18, transfer_ns=90_000, delays_ns={0: 40_000}),
)


def open_commands(page: str) -> list[list[str]]:
    """The words of every command of a page that opens the timeline."""
    found = [shlex.split(unescape(code)) for code in re.findall(r'<span class="place"><code>(.*?)</code>', page)]
    return [words for words in found if words[1] == "open"]


def test_every_command_of_a_report_finds_its_place(tmp_path: Path) -> None:
    folder = tmp_path / "it's a run"
    write_run(folder, Run(world_size=2, calls=CALLS, steps=5))
    analyze(tmp_path / "out", folder)
    commands = open_commands((tmp_path / "out" / "report.html").read_text())
    assert {tuple(command[:4]) for command in commands} == {("traceana", "open", str(folder), "--at")}
    places = [command[4] for command in commands]
    assert set(places) >= {"worst-wait", "worst-wait all_to_all", "worst-wait all_reduce", "denoise_step 2"}
    planned = plan([folder], python=False, workers=1, progress=lambda *_: None)
    found = {at: find(planned, at) for at in places}
    assert all(place.start_ns < place.end_ns for place in found.values())
    assert found["worst-wait"] == found["worst-wait all_to_all"] != found["worst-wait all_reduce"]


def test_a_file_s_report_names_the_file_and_opens_it_there(tmp_path: Path) -> None:
    write_run(tmp_path / "run", Run(world_size=2, calls=CALLS, steps=5))
    file = tmp_path / "run" / "rank0.json.gz"
    outcome = analyze(tmp_path / "out", file)
    commands = open_commands(outcome.html)
    assert {tuple(command[:4]) for command in commands} == {("traceana", "open", str(file), "--at")}
    for command in commands:
        place = shown_file(file, command[4], 1).place
        assert place is not None
        assert place.start_ns < place.end_ns


@pytest.mark.parametrize(
    ("name", "calls", "title"),
    [
        ("denoise_step", CALLS, "denoise_step 2"),
        ("TimestepEmbedding", CALLS, "step, by repetition 2"),
        ("TimestepEmbedding", CALLS[:1], "whole window"),
    ],
)
def test_the_strip_shows_a_step_and_no_module_that_is_named_like_one(
    tmp_path: Path, name: str, calls: tuple[Call, ...], title: str
) -> None:
    write_run(tmp_path / "run", Run(world_size=2, calls=calls, steps=5, step_name=name))
    outcome = analyze(tmp_path / "out", tmp_path / "run")
    timeline, whole = outcome.run["timeline"], title == "whole window"
    assert timeline["title"] == title
    assert (f"--at &#39;{title}&#39;" in outcome.html) != whole
    assert (timeline["duration_ns"] > outcome.run["ranks"][0]["span_ns"] / 2) == whole
