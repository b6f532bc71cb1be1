"""Commands in README and docs are such that traceana takes, and pages that link to each other are there."""

import doctest
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest

from traceana.cli import COMMANDS, root

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
_COMMAND = re.compile(r"(?:^| )(?:python -m )?traceana (?=(?:" + "|".join(COMMANDS) + r")\b)(.*)")


def commands(page: Path) -> Iterator[str]:
    """Commands of indented lines and of code in sentences; continued lines are joined, explanations cut off."""
    text = page.read_text(encoding="utf-8").replace(" \\\n", " ")
    blocks = [line for line in text.splitlines() if line.startswith("    ")]
    blocks += [code for code in re.findall(r"`([^`\n]+)`", text) if code.startswith("traceana ")]
    for line in blocks:
        found = _COMMAND.search(line.split("   #")[0])
        if found:
            command = re.split(r" {3,}| \|", found[1])[0]
            # The quote that ends a line of `bash -c '…'` is not the command's.
            yield command.removesuffix("'") if command.count("'") % 2 else command


ALL = [(page.name, command) for page in PAGES for command in dict.fromkeys(commands(page))]


def test_there_are_commands_of_every_kind() -> None:
    assert {command.split()[0] for _, command in ALL} == set(COMMANDS)


@pytest.mark.parametrize(("page", "command"), ALL)
def test_a_command_in_the_docs_has_options_that_there_are(page: str, command: str) -> None:
    words = [word for word in shlex.split(command) if word not in ("…", "PATH")]
    name, arguments = words[0], words[1:]
    found = root.get_command(click.Context(root), name)
    assert found is not None
    if isinstance(found, click.Group):
        found = found.get_command(click.Context(found), arguments[0])
        assert found is not None
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    known = {option for parameter in found.params for option in (*parameter.opts, *parameter.secondary_opts)}
    asked = {word.partition("=")[0] for word in own if re.match(r"--?[A-Za-z]", word)}
    assert asked <= known | {"--help"}, f"{page}: {command}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link.partition("#") for link in re.findall(r"\]\(([^)\s]+)\)", text) if not link.startswith("http")]
    for target, _, anchor in links:
        linked = page.parent / target if target else page
        assert linked.exists(), f"{page.name}: {target}"
        if anchor and linked.suffix == ".md":
            assert anchor in headings(linked), f"{page.name}: {target}#{anchor}"


def headings(page: Path) -> set[str]:
    """Anchors as GitHub and MkDocs make them."""
    lines = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).strip().replace(" ", "-") for line in lines}


def test_what_the_page_on_python_shows_is_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    done = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    assert done.attempted > 5
    assert done.failed == 0


def test_the_notebook_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    notebook = json.loads((ROOT / "docs" / "python.ipynb").read_text(encoding="utf-8"))
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    names: dict[str, Any] = {}
    for cell in cells:
        exec(compile(cell, "python.ipynb", "exec"), names)
    assert names["steady"]["transfer_ns"].notna().all()
    assert "<html" in names["compared"].to_html()
