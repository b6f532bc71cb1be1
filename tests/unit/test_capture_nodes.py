"""Launchers that start one run together: who belongs to whom, and one folder for all of them."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import pytest
from traceana_capture import runfile
from traceana_capture.launcher import others, repeats
from traceana_capture.launcher.job import Job, job_of
from traceana_capture.launcher.options import Options
from traceana_capture.launcher.run_folder import claimed, refuse_earlier

from traceana.errors import TraceanaError

HOST = socket.gethostname()
SLURM = {"SLURM_JOB_ID": "7", "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": "1"}
TORCHRUN = ("torchrun", "--nnodes", "2", "--node-rank", "1", "--master-port", "29500", "train.py")


MISSING = {"rank": 0, "pid": 1, "host": "a", "outcome": "missing", "reason": "", "file": None, "bytes": 0}


def job(seat: int, launch: str = "2 nodes", *, unique: bool = False, launchers: int | None = 2) -> Job:
    return Job(launchers=launchers, launch=launch, unique=unique, seat=str(seat), node=f"gpu-{seat}.{seat}")


@pytest.mark.parametrize(
    ("argv", "environment", "launchers", "launch", "seat"),
    [
        (TORCHRUN, {}, 2, "2 nodes 29500", "1"),
        (("torchrun", "--nnodes=2", "--node_rank=1", "--rdzv-id=x", "t.py"), {}, 2, "2 nodes x", "1"),
        (("torchrun", "--nnodes", "1:4", "--rdzv-id", "x", "train.py"), {}, None, "1:4 nodes x", ""),
        (("torchrun", "--nnodes", "4:4", "train.py"), {}, 4, "4:4 nodes", ""),
        (("accelerate", "launch", "--num_machines", "2", "--machine_rank", "0", "t.py"), {}, 2, "2 nodes", "0"),
        (("sglang", "serve", "--nnodes", "2", "--node-rank", "0", "--dist-init-addr", "a:1"), {}, 2, "2 nodes", "0"),
        (("torchrun", "train.py"), {"PET_NNODES": "2", "PET_NODE_RANK": "1", "PET_RDZV_ID": "j"}, 2, "2 nodes j", "1"),
        (("python", "t.py"), {"WORLD_SIZE": "2", "RANK": "1", "MASTER_PORT": "29500"}, 2, "2 ranks 29500", "1"),
        (TORCHRUN, SLURM, 2, "slurm 7.0 0", "1"),
    ],
)
def test_a_job_is_told_by_the_command_or_the_environment(
    argv: tuple[str, ...], environment: dict[str, str], launchers: int | None, launch: str, seat: str
) -> None:
    found = job_of(argv, environment)
    assert found is not None
    assert (found.launchers, found.launch, found.seat) == (launchers, launch, seat)
    assert found.unique == launch.startswith("slurm")
    assert found.node == (f"{HOST}.{seat}" if seat else HOST)


@pytest.mark.parametrize(
    ("argv", "environment"),
    [
        (("torchrun", "--nnodes", "1", "train.py"), {}),
        (("torchrun", "--nnodes"), {}),
        (("bash", "run.sh"), SLURM | {"SLURM_STEP_NUM_TASKS": "1"}),
        (("bash", "run.sh"), {"SLURM_JOB_ID": "7", "SLURM_NNODES": "2", "SLURM_PROCID": "0"}),
        (("python", "train.py"), {"WORLD_SIZE": "1", "RANK": "0"}),
    ],
)
def test_one_launcher_has_no_job(argv: tuple[str, ...], environment: dict[str, str]) -> None:
    assert job_of(argv, environment) is None


def test_what_a_script_hides_is_said_by_nodes() -> None:
    found = job_of(("bash", "run.sh"), {}, 3)
    assert found is not None
    assert (found.launchers, found.launch, found.node) == (3, "3 nodes", HOST)
    told = job_of(TORCHRUN, SLURM, 3)
    assert told is not None
    assert (told.launchers, told.launch, told.unique, told.seat) == (3, "slurm 7.0 0", True, "1")


def test_launchers_of_one_job_share_the_folder_and_others_do_not(tmp_path: Path) -> None:
    with claimed(tmp_path, "run", False, job=job(0)) as first, claimed(tmp_path, "run", False, job=job(1)) as second:
        assert first.folder == second.folder
        assert first.scratch != second.scratch
        for stranger in (None, job(2, "4 nodes"), job(1)):
            with pytest.raises(TraceanaError, match="goes on"), claimed(tmp_path, "run", True, job=stranger):
                pass
    alone = claimed(tmp_path, "run", False)
    with alone, pytest.raises(TraceanaError, match="--nodes N on"), claimed(tmp_path, "run", False, job=job(0)):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_trace_that_is_there_before_its_part_says_so_is_no_earlier_run(tmp_path: Path) -> None:
    """Ranks that record by themselves come and go at moments of their own."""
    part = {"launch": "one program", "node": "rank0", "ranks": [MISSING]}
    with claimed(tmp_path, "run", False, job=job(0, "one program", unique=True)) as claim:
        (claim.folder / "run.rank0.json").write_text(json.dumps({"schema_version": 1, **part}))
        (claim.folder / "rank0.json.gz").touch()
        with claimed(tmp_path, "run", False, job=job(1, "one program", unique=True)):
            assert (claim.folder / "rank0.json.gz").exists()
    with (
        pytest.raises(TraceanaError, match="holds a run already"),
        claimed(tmp_path, "run", False, job=job(1, "another")),
    ):
        pass


def test_one_who_has_not_said_yet_whose_it_is_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It holds its lock before it says so, and still when it has taken that back."""
    with claimed(tmp_path, "run", False, job=job(0)) as first:
        said = (first.scratch / others.LAUNCH).read_bytes()
        (first.scratch / others.LAUNCH).unlink()
        looks: list[float] = []

        def passes(seconds: float) -> None:
            looks.append(seconds)
            if len(looks) == 3:
                (first.scratch / others.LAUNCH).write_bytes(said)

        monkeypatch.setattr("time.sleep", passes)
        with claimed(tmp_path, "run", False, job=job(1)) as second:
            assert second.folder == first.folder
        assert len(looks) == 3


def test_launchers_that_come_at_one_moment_all_join(tmp_path: Path) -> None:
    """Each probes the others' locks while these take them."""
    count = 8
    together, refused = threading.Barrier(count), []

    def come(seat: int) -> None:
        together.wait()
        try:
            with claimed(tmp_path, "run", True, job=job(seat, launchers=count)):
                together.wait()
        except (TraceanaError, threading.BrokenBarrierError) as error:
            refused.append(error)
            together.abort()

    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "rank0.json.gz").write_text("of an earlier run")
    threads = [threading.Thread(target=come, args=(seat,)) for seat in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == []
    assert list((tmp_path / "run").iterdir()) == []


def part(folder: Path, of: Job, exit_code: int = 0) -> None:
    """What a launcher leaves."""
    folder.mkdir(exist_ok=True)
    seat = int(of.seat)
    rank = {"rank": seat, "pid": 1, "host": f"gpu-{seat}", "outcome": "complete", "reason": "", "bytes": 1}
    content = {"schema_version": 1, "node": of.node, "launch": of.launch, "exit_code": exit_code}
    (folder / f"rank{seat}.json.gz").write_text("")
    (folder / runfile.part_name(of.node)).write_text(
        json.dumps(content | {"ranks": [rank | {"file": f"rank{seat}.json.gz"}]})
    )


def test_what_is_there_before_is_an_earlier_run_unless_the_launch_has_a_number_of_its_own(tmp_path: Path) -> None:
    part(tmp_path / "run", job(1))
    with pytest.raises(TraceanaError, match="holds a run already"), claimed(tmp_path, "run", False, job=job(0)):
        pass
    with claimed(tmp_path, "run", True, job=job(0)) as claim:
        assert list(claim.folder.iterdir()) == []
    # A launcher that failed at once, before this one began.
    part(tmp_path / "run", job(1, "slurm 7.0 0", unique=True))
    with claimed(tmp_path, "run", False, job=job(0, "slurm 7.0 0", unique=True)) as claim:
        assert sorted(path.name for path in claim.folder.iterdir()) == ["rank1.json.gz", "run.gpu-1.1.json"]
    with pytest.raises(TraceanaError, match="holds a run already"):
        refuse_earlier([tmp_path / "run"], False, job(0, "slurm 8.0 0", unique=True))
    with pytest.raises(TraceanaError, match="holds a run already"), claimed(tmp_path, "run", False):
        pass


def series(folder: Path, of: Job, *argv: str) -> int:
    sides = repeats.sides(Options(argv=argv, nccl={}), None, "simple", ())
    return repeats.capture(sides, folder, 1, force=False, job=of)


def test_a_series_begins_each_run_together(tmp_path: Path) -> None:
    """Signals are the main thread's alone, so one launcher is a process."""
    code = "import sys, tests.unit.test_capture_nodes as t; t.series(t.Path(sys.argv[1]), t.job(1), 'sleep', '0.3')"
    other = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=Path(__file__).parents[2])
    assert series(tmp_path, job(0), "true") == 0
    assert other.wait() == 0
    plain, simple = ([runfile.read(path) for path in runfile.files(tmp_path / name)] for name in ("plain", "simple"))
    assert [part.node for part in (*plain, *simple)] == ["gpu-0.0", "gpu-1.1"] * 2
    assert max(str(part.ended) for part in plain) < min(str(part.started) for part in simple)


def test_a_series_waits_for_the_others_and_says_who_did_not_come(tmp_path: Path) -> None:
    with mock.patch.object(others, "PATIENCE_S", 0.1), pytest.raises(TraceanaError) as refused:
        series(tmp_path, job(0), "true")
    assert "only gpu-0.0 of 2 nodes came" in str(refused.value)
    assert [path.name for path in tmp_path.iterdir()] == ["plain"]
    assert list((tmp_path / "plain").iterdir()) == []


def test_a_run_that_failed_elsewhere_ends_the_series(tmp_path: Path) -> None:
    with claimed(tmp_path, "next", False, job=job(0)) as claim:
        part(tmp_path / "plain.1", job(1), exit_code=3)
        turn = others.Turn(before=tmp_path / "plain.1")
        with pytest.raises(TraceanaError, match=r"exit code 3 on gpu-1\.1"):
            others.wait_for_all(claim.folder, claim.scratch, job(0), turn, ())
        others.wait_for_all(claim.folder, claim.scratch, job(0), turn, [2])


def test_a_series_needs_the_number_of_nodes(tmp_path: Path) -> None:
    with pytest.raises(TraceanaError, match="say it with --nodes N"):
        series(tmp_path, job(0, launchers=None), "true")
