import os
import shutil
from pathlib import Path

import pytest
from traceana_capture.launcher import scratch
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


def _modes(folder: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in (folder, *sorted(folder.iterdir()))]


@pytest.mark.parametrize("existed", [False, True])
def test_a_run_is_its_owners_alone_unless_it_is_shared(tmp_path: Path, existed: bool) -> None:
    before = os.umask(0o022)
    try:
        for shared, expected in ((False, [0o700, 0o600, 0o600, 0o644]), (True, [0o755, 0o644, 0o644, 0o644])):
            folder = tmp_path / f"run{shared}"
            if existed:
                folder.mkdir()
            with claimed(tmp_path, folder.name, False, shared) as claim:
                for name in ("rank0.json.gz", "run.json", "users.txt"):
                    (claim.folder / name).write_text("")
                claim.close_to_others()
            assert _modes(folder) == expected
    finally:
        os.umask(before)


def test_a_run_folder_that_leads_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "run").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(TraceanaError, match="leads elsewhere"), claimed(tmp_path, "run", True):
        pass


def test_what_another_process_leaves_stays(tmp_path: Path) -> None:
    """As a child that a block forked does."""
    scratch.remove(tmp_path, -1)
    assert tmp_path.is_dir()


def test_a_scratch_folder_that_is_removed_in_this_moment_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a run that ends, or by another launcher's --force."""
    held = tmp_path / ".run.scratch"
    locked = scratch._is_ours

    def just_removed(lock: int, path: Path) -> bool:
        monkeypatch.setattr(scratch, "_is_ours", locked)
        shutil.rmtree(held)
        return locked(lock, path)

    monkeypatch.setattr(scratch, "_is_ours", just_removed)
    with claimed(tmp_path, "run", False) as claim:
        assert [path.name for path in claim.scratch.iterdir()] == ["lock"]


def test_what_another_launcher_has_taken_is_not_forgotten(tmp_path: Path) -> None:
    with claimed(tmp_path, "run", False) as claim:
        scratch.forget([claim.scratch, tmp_path / "gone"])
        assert claim.scratch.is_dir()
    (tmp_path / ".left.scratch").mkdir()
    scratch.forget([tmp_path / ".left.scratch"])
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
