import os
from pathlib import Path

import pytest
from traceana_capture.launcher.run_folder import claimed

from traceana.errors import TraceanaError


def test_the_scratch_folder_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with claimed(tmp_path / "traces", "run", False) as claim:
        assert claim.scratch.stat().st_mode & 0o777 == 0o700
        assert claim.folder == tmp_path / "traces" / "run"
    assert [path.name for path in (tmp_path / "traces").iterdir()] == ["run"]


def test_what_a_killed_run_left_is_removed(tmp_path: Path) -> None:
    left = tmp_path / ".run.scratch"
    (left / "info").mkdir(parents=True)
    (left / "7.json").write_text("half")
    with claimed(tmp_path, "run", False) as claim:
        assert [path.name for path in claim.scratch.iterdir()] == ["lock"]


def test_a_folder_has_one_run_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path, "run", False):
        with pytest.raises(TraceanaError, match="goes on"), claimed(tmp_path, "run", True):
            pass
        with claimed(tmp_path, "other", False):
            pass
    with claimed(tmp_path, "run", False):
        pass


@pytest.mark.parametrize("label", ["", ".hidden", "../up", "a/b", "-x"])
def test_a_label_is_a_plain_name(tmp_path: Path, label: str) -> None:
    with pytest.raises(TraceanaError, match="plain name"), claimed(tmp_path, label, False):
        pass


def test_a_scratch_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("")
    (tmp_path / ".run.scratch").symlink_to(elsewhere)
    with pytest.raises(TraceanaError, match="not a folder of yours"), claimed(tmp_path, "run", False):
        pass
    assert (elsewhere / "kept").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_a_scratch_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".run.scratch").mkdir()
    os.chown(tmp_path / ".run.scratch", 12345, 12345)
    with pytest.raises(TraceanaError, match="not a folder of yours"), claimed(tmp_path, "run", False):
        pass
