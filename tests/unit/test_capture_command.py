"""`traceana capture --help`: one screen that names every option once, under a heading."""

import re
from pathlib import Path

import click
from click.testing import CliRunner

from traceana.commands.capture import command

LINES = 53


def test_help_fits_a_screen_and_names_every_option_once() -> None:
    done = CliRunner().invoke(command, ["--help"], terminal_width=100)
    assert done.exit_code == 0
    assert len(done.output.splitlines()) <= LINES
    named = re.findall(r"^  (?:-[a-z], )?(--[a-z-]+)", done.output, re.MULTILINE)
    options = [parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)]
    assert sorted(named) == sorted([*options, "--help"])
    assert [line for line in done.output.splitlines() if re.fullmatch(r"[A-Z][a-z ]+:", line)] == [
        "When to record:",
        "What to record:",
        "What carries the collectives:",
        "Runs:",
    ]


def test_every_option_is_on_the_page() -> None:
    page = (Path(__file__).parents[2] / "docs" / "capture.md").read_text()
    options = [parameter.opts[-1] for parameter in command.params if isinstance(parameter, click.Option)]
    assert [option for option in options if f"`{option}" not in page] == []
