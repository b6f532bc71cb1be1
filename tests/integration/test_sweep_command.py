"""`traceana sweep` with real commands: each a shell that takes no time."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.commands import refused, run, traceana
from traceana.sweep.journal import read

JOB = "echo ran >> {ran}; echo step took {size} ms; cp /dev/null $0/file; test {size} != 13"
QUICK = ("--axis", "size=1,2", "--repeats", "3", "--no-traces", "--metric", "output:took")


def sweep(folder: Path, ran: Path, *options: str, job: str = JOB) -> tuple[int, str, str]:
    command = ("sh", "-c", job.replace("{ran}", str(ran)), "{out}")
    return run("sweep", "-o", folder, *QUICK, *options, "--", *command)


def test_a_sweep_from_its_command_to_its_report(tmp_path: Path) -> None:
    code, stdout, stderr = sweep(tmp_path / "s", tmp_path / "ran", "--axis", "nccl=plain,no-p2p", "--gpus", "size")
    assert code == 0, stderr
    assert len((tmp_path / "ran").read_text().splitlines()) == 16
    report = json.loads((tmp_path / "s" / "report.json").read_text())
    assert report["winner"] == "size=1 nccl=plain"
    assert [cell["time_ns"] for cell in report["cells"]] == [1_000_000, 1_000_000, 2_000_000, 2_000_000]
    assert [cell["parity"] and cell["parity"]["status"] for cell in report["cells"]] == [None, "same", "same", "same"]
    assert "No setting is certainly better than the baseline size=1 nccl=plain." in stdout
    page = (tmp_path / "s" / "report.html").read_text()
    assert "size=2 nccl=no-p2p" in page
    assert "<script" not in page
    again = sweep(tmp_path / "s", tmp_path / "ran", "--axis", "nccl=plain,no-p2p", "--gpus", "size")
    assert again[1] == stdout
    assert len((tmp_path / "ran").read_text().splitlines()) == 16


def test_a_cell_that_fails_is_named_with_its_last_lines(tmp_path: Path) -> None:
    code, stdout, _ = sweep(tmp_path / "s", tmp_path / "ran", "--axis", "size=1,13")
    assert code == 0
    assert "1 cell failed." in stdout
    assert "size=13: step took 13 ms" in stdout
    assert len((tmp_path / "ran").read_text().splitlines()) == 6


def test_a_run_that_fails_on_a_full_disk_is_no_fault_of_its_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = os.statvfs(tmp_path)
    full = os.statvfs_result((*free[:4], 10, *free[5:]))
    monkeypatch.setattr(os, "statvfs", lambda folder: full)
    code, _, stderr = sweep(tmp_path / "s", tmp_path / "ran", "--axis", "size=13,1")
    assert code == 2
    assert "the disk is full, so the last run does not count" in stderr
    monkeypatch.undo()
    assert all(record.failure is None for record in read(tmp_path / "s"))
    assert sweep(tmp_path / "s", tmp_path / "ran", "--axis", "size=13,1")[0] == 0


def test_the_words_of_strangers_stay_words_on_the_page(tmp_path: Path) -> None:
    job = "echo '<script>alert(1)</script>'; exit 3"
    run("sweep", "-o", tmp_path, "--axis", "size=<b>x</b>,2", "--no-traces", "--", "sh", "-c", job, "{size}")
    page = (tmp_path / "report.html").read_text()
    assert "<script" not in page
    assert "<b>x</b>" not in page
    assert "&lt;script&gt;alert(1)" in page


def test_secrets_of_the_command_are_masked_in_the_report(tmp_path: Path) -> None:
    words = (
        "--axis",
        "env.NCCL_ALGO=Ring",
        "--no-traces",
        "--",
        "sh",
        "-c",
        "echo token=abcdefgh; exit 3",
        "--api-key",
        "sesame",
    )
    run("sweep", "-o", tmp_path, *words)
    for name in ("report.json", "report.html", "journal.jsonl"):
        text = (tmp_path / name).read_text()
        assert "sesame" not in text
        assert "abcdefgh" not in text


def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    code, stdout, _ = sweep(tmp_path / "s", tmp_path / "ran", "--dry-run", "--timeout", "10s")
    assert code == 0
    assert "8 runs of 8, in this order:" in stdout
    assert "at most 80.0" in stdout
    assert not (tmp_path / "s").exists()
    sweep(tmp_path / "s", tmp_path / "ran")
    assert "0 runs of 8" in sweep(tmp_path / "s", tmp_path / "ran", "--dry-run")[1]
    assert "2 runs of 10" in sweep(tmp_path / "s", tmp_path / "ran", "--dry-run", "--repeats", "4")[1]


def test_a_run_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    job = "sleep 100 & sleep 100"
    code, stdout, _ = run(
        "sweep", "-o", tmp_path, "--axis", "env.A=1", "--timeout", "0.2s", "--no-traces", "--", "sh", "-c", job
    )
    assert code == 1
    assert "No cell ran through." in stdout
    assert "it ran longer than --timeout allows" in stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--", "true"), "nothing to vary"),
        (("--axis", "size=1", "--", "true"), "changes nothing"),
        (("--axis", "size=1"), "no command to run"),
        (("--axis", "env.A=1", "--", "no-such-command-there-is"), "cannot run no-such-command-there-is"),
        (("--axis", "backend=pynccl", "--", "true"), "needs a GPU"),
        (("--axis", "env.A=1", "--metric", "throughput", "--", "true"), "needs the number of GPUs"),
        (("--axis", "env.A=1", "--metric", "request", "--", "true"), "add --perf-dump-path {perf_dump}"),
    ],
)
def test_what_cannot_be_run_says_why(tmp_path: Path, words: tuple[str, ...], message: str) -> None:
    assert message in refused("sweep", "-o", tmp_path, *words)


def test_the_answer_as_markdown_and_as_numbers(tmp_path: Path) -> None:
    sweep(tmp_path / "s", tmp_path / "ran")
    assert sweep(tmp_path / "s", tmp_path / "ran", "--format", "md")[1].startswith("### sweep: output took")
    assert json.loads(sweep(tmp_path / "s", tmp_path / "ran", "--format", "json")[1])["metric"] == "output:took"


def test_help_names_the_plans() -> None:
    assert "flux-tp, wan-sp, wan-usp or wan-cfg" in " ".join(traceana("sweep", "--help").split())


def test_a_killed_sweep_leaves_no_process_and_goes_on(tmp_path: Path) -> None:
    """Killed in its fourth run, which waits until it is allowed to go on, as the same run does the second time."""
    ran, go = tmp_path / "ran", tmp_path / "go"
    wait = f"while [ $(wc -l < {ran}) -ge 4 ] && [ ! -e {go} ]; do sleep 0.01; done; "
    job = f"echo $$ > {tmp_path}/pid; " + JOB.replace("{ran}", str(ran)).replace("echo step", f"{wait}echo step", 1)
    words = [
        sys.executable,
        "-m",
        "traceana",
        "sweep",
        "-o",
        str(tmp_path / "s"),
        *QUICK,
        "--",
        "sh",
        "-c",
        job,
        "{out}",
    ]
    sweeping = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until(lambda: ran.exists() and len(ran.read_text().splitlines()) >= 4)
    sweeping.kill()
    sweeping.wait()
    before = read(tmp_path / "s")
    assert len(before) == 3
    pid = int((tmp_path / "pid").read_text())
    until(lambda: ended(pid))
    go.touch()
    assert subprocess.run(words, capture_output=True, check=True).stderr.count(b"run ") == 5
    assert read(tmp_path / "s")[:3] == before
    assert len({record.key for record in read(tmp_path / "s")}) == len(read(tmp_path / "s")) == 8
    assert len(ran.read_text().splitlines()) == 9
    assert not (tmp_path / "s" / ".scratch").exists()


def ended(pid: int) -> bool:
    """Gone, or dead and not yet collected: the tests' own process may have inherited it, as capture's launcher does."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


def until(true: object) -> None:
    limit = time.monotonic() + 120
    while not true():  # type: ignore[operator]
        assert time.monotonic() < limit
        time.sleep(0.01)


def test_a_search_from_its_command_to_its_winner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLOW", "30")
    job = "echo step took $((20 + ${SLOW:-0} + ${DEPTH:-1})) ms"
    axes = ("--axis", "env.SLOW=unset,40", "--axis", "env.DEPTH=2")
    words = ("tune", "-o", tmp_path, *axes, "--repeats", "3", "--metric", "output:took", "--no-traces")
    code, stdout, stderr = run(*words, "--", "sh", "-c", job)
    assert code == 0, stderr
    assert "SLOW=unset is faster: 2.43×" in stdout
    assert "unset SLOW" in stdout
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["winner"] == "env.SLOW=unset env.DEPTH=asis"
    assert report["search"]["settings"] == 6
    assert "The search" in (tmp_path / "report.html").read_text()
    assert run(*words, "--", "sh", "-c", job)[1] == stdout
