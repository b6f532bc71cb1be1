"""Secrets of a command and of its variables are written down nowhere: not in run.json, a report, a page, a terminal."""

import json
import signal
from pathlib import Path

import pytest
from traceana_capture import runfile
from traceana_capture.masks import masked_text, masked_values, masked_words

from tests.analysis import analyze
from tests.synthetic import Call, Run, write_run

SECRET = "s3cr3t-of-ours"
COMMANDS: tuple[tuple[str, ...], ...] = (
    ("serve", "--api-key", SECRET, "--model", "x"),
    ("serve", f"--api_key={SECRET}", "--model", "x"),
    ("serve", "--HF-Token", SECRET),
    ("serve", "--password", SECRET, "--port", "1"),
    ("serve", "--client-secret", SECRET),
    ("env", f"HF_TOKEN={SECRET}", "python", "x.py"),
    ("env", f"PASSWORD={SECRET} with {SECRET} blanks"),
    ("bash", "-c", f"export AWS_SECRET={SECRET}; python x.py --api-key {SECRET} --steps 3"),
    ("bash", "-c", f"MY_KEY='{SECRET} a' python x.py"),
    ("serve", "--json", f'{{"api_key": "{SECRET}", "n": 1}}'),
    ("get", f"https://user:{SECRET}@host/path"),
    ("get", f"redis://:{SECRET}@host:1/0"),
    ("get", f"https://user:a@b{SECRET}@host/path"),
    ("get", f"https://host/path?api_key={SECRET}&n=1"),
    ("serve", f"hf_{SECRET.replace('-', '')}"),
    ("serve", f"--load=sk-{SECRET}"),
    ("serve", "--passwd", SECRET),
    ("serve", f"--credentials={SECRET}"),
    ("serve", f'{{\\"api_key\\": \\"{SECRET} a\\"}}'),
    ("bash", "-c", f"serve --token\\\n  {SECRET}"),
    ("curl", "-H", f"Authorization: Bearer {SECRET}"),
    ("curl", f"--header=authorization: Basic {SECRET}=="),
    ("clone", f"https://{SECRET * 2}@host/path"),
    ("serve", f"github_pat_{SECRET}"),
    ("serve", f"xoxb-{SECRET}"),
)
HARMLESS = (
    "python", "-m", "sglang.launch_server", "--max-tokens", "100", "--tokenizer-path", "a/b", "--use-auth-token",
    "--host", "0.0.0.0", "--disk-cache-size", "8", "--ids", "task-12345678", "https://host:80/a@b", "NCCL_ALGO=Ring",
    "ssh://git@host/a",
)  # fmt: skip


@pytest.mark.parametrize("argv", COMMANDS, ids=range(len(COMMANDS)))
def test_a_secret_in_a_command_is_masked_and_its_place_kept(argv: tuple[str, ...]) -> None:
    found = masked_words(argv)
    assert SECRET not in " ".join(found)
    assert SECRET.replace("-", "") not in " ".join(found)
    assert (len(found), found[0]) == (len(argv), argv[0])
    assert any("***" in word for word in found)


def test_other_words_stay() -> None:
    assert masked_words(HARMLESS) == HARMLESS
    assert masked_words(("--api-key", "x", "--model", "m")) == ("--api-key", "***", "--model", "m")
    assert masked_text("https://host/path?api_key=a&n=1") == "https://host/path?api_key=***&n=1"


@pytest.mark.parametrize("part", ["a-", "a.", "key", "--key ", "a-://", "://a:", "hf_", "key='", 'key=\\"', "Bearer "])
def test_a_long_text_takes_linear_time(part: str) -> None:
    # What is quadratic takes an hour.
    signal.alarm(60)
    masked_text(part * 30_000)
    signal.alarm(0)


def test_variables_are_masked_by_name_and_by_value() -> None:
    found = masked_values({"NCCL_KEY": "a", "NCCL_ALGO": "Ring", "NCCL_CONF_FILE": f"https://u:{SECRET}@h/"})
    assert found == {"NCCL_KEY": "***", "NCCL_ALGO": "Ring", "NCCL_CONF_FILE": "https://u:***@h/"}


def _run_file(argv: tuple[str, ...]) -> runfile.RunFile:
    rank = runfile.Rank(
        rank=0, pid=1, host="h", outcome="missing", reason=f"KeyError: api_key={SECRET}", file=None, bytes=0
    )
    return runfile.RunFile(
        label="a",
        repeat=None,
        argv=argv,
        host="h",
        started="",
        ended="",
        exit_code=0,
        world_size=2,
        backend=runfile.Backend(asked="asis", adapter=None, seen=(), mismatch=None),
        versions={},
        gpus={},
        environment={"NCCL_TOKEN": SECRET},
        nccl=runfile.Nccl(set={"NCCL_SECRET": SECRET}, preset=(), ranks=()),
        window=runfile.Window(delay_s=0, duration_s=1, warmup=0, steps=0, start_on=None, step_on=None),
        ranks=(rank,),
    )


def test_run_json_holds_no_secret(tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    runfile.write(_run_file(COMMANDS[0]), tmp_path, tmp_path / "scratch")
    text = (tmp_path / "run.json").read_text()
    assert SECRET not in text
    assert text.count("***") == 4


@pytest.mark.parametrize("form", ["text", "md", "json"])
def test_a_report_of_an_older_run_json_shows_none_on_the_page_or_the_terminal(tmp_path: Path, form: str) -> None:
    write_run(tmp_path / "run", Run(world_size=2, calls=(Call(op="all_reduce", nelems=4096),)))
    run = {"argv": [word for argv in COMMANDS for word in argv], "environment": {"NCCL_TOKEN": SECRET}}
    (tmp_path / "run" / "run.json").write_text(json.dumps({"label": "a", **run, "nccl": {"set": {"A_KEY": SECRET}}}))
    outcome = analyze(tmp_path / "report", tmp_path / "run", "--format", form)
    assert outcome.exit_code == 0
    for text in (outcome.stdout, outcome.stderr, outcome.html, json.dumps(outcome.report)):
        assert SECRET not in text
    assert "***" in outcome.html
