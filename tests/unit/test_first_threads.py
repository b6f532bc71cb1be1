"""Threads that decode a type as the first ones: two at once crashed the process, within msgspec."""

import pytest

from tests import warm

BEGIN = """
import json, sys, threading
sys.setswitchinterval(1e-6)
def in_threads(function):
    barrier = threading.Barrier(8)
    def first():
        barrier.wait()
        function()
    threads = [threading.Thread(target=first) for _ in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
    print("decoded")
"""
OF_RANKS = """
from traceana_capture.launcher.workers import Roster
hello = {"pid": 7, "event": "hello", "rank": 0, "world_size": 1, "host": "h", "backend": "gloo", "versions": {}}
in_threads(lambda: Roster().note(json.dumps(hello)))
"""
OF_PUBLISHED = """
from traceana_capture.launcher import collect
in_threads(lambda: collect._OUTCOME.decode(b'"no"'))
"""
OF_MEASURED = """
from pathlib import Path
from traceana.analyze.measure import measure_rank
from traceana.saved import measured
content = measured.encode(measure_rank(Path("tests/traces/compact.json")))
in_threads(lambda: measured.decode(content))
"""


@pytest.mark.parametrize("program", [OF_RANKS, OF_PUBLISHED, OF_MEASURED], ids=["ranks", "published", "measured"])
def test_the_first_threads_decode(program: str) -> None:
    done = warm.run("-c", BEGIN + program)
    assert (done.returncode, done.stdout) == (0, "decoded\n"), done.stderr
