import tempfile
from pathlib import Path

import pytest
from jinja2 import DictLoader, Environment

from traceana.render.page.compiled import compiled_templates


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go, empty at first."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def rendered(source: str) -> str:
    cache = compiled_templates()
    return Environment(loader=DictLoader({"page": source}), bytecode_cache=cache).get_template("page").render()


def kept(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("traceana_*") if path.is_file()]


def test_a_template_is_compiled_once_and_again_when_it_changes(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rendered("{{ 1 + 1 }}") == "2"
    assert len(kept(folder)) == 1
    with monkeypatch.context() as patch:
        patch.setattr(Environment, "_compile", lambda *_: pytest.fail("compiled again"))
        assert rendered("{{ 1 + 1 }}") == "2"
    assert rendered("{{ 1 + 2 }}") == "3"


@pytest.mark.parametrize("damage", [b"", b"j2", b"\x80\x05garbage", b"x" * 4096])
def test_what_is_damaged_there_is_compiled_anew(folder: Path, damage: bytes) -> None:
    assert rendered("{{ 1 + 1 }}") == "2"
    (file,) = kept(folder)
    whole = file.read_bytes()
    for content in (damage, whole[: len(whole) // 2], whole[:20] + damage):
        file.write_bytes(content)
        assert rendered("{{ 1 + 1 }}") == "2"


def test_another_ones_folder_and_a_full_one_are_left_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(tempfile, "NamedTemporaryFile", _no_room)
        assert rendered("{{ 1 + 1 }}") == "2"
    (made,) = folder.iterdir()
    made.rmdir()
    made.write_text("a file of this name")
    assert compiled_templates() is None
    assert rendered("{{ 1 + 1 }}") == "2"


def _no_room(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")
