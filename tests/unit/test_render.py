import base64
import hashlib
import re
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser

import pytest

from tests import reports
from traceana import units
from traceana.render.html import render
from traceana.report import HtaSection, HtaTable, Report

HOSTILE = ("<script>alert(1)</script>", '"><img src=x>')
VOID = {"meta", "input", "br", "img", "link"}


class Page(HTMLParser):
    """The report's text and structure; refuses elements that close out of order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.elements: list[str] = []
        self.attributes: set[str] = set()
        self.words: list[str] = []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        self.attributes |= {name for name, _ in attrs}
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).replace(units.NO_BREAK_SPACE, " ").split())


def without_calls() -> Report:
    run = reports.run("torch")
    empty = replace(
        run,
        operations=(),
        buckets=(),
        stragglers=(),
        waits=(),
        spans=(),
        timeline=None,
        coverage=reports.coverage(0),
    )
    return reports.report(empty)


def many_runs() -> Report:
    runs = [reports.run(f"run {index}", speed=1 + index / 20) for index in range(10)]
    return reports.report(*runs, comparisons=tuple(reports.compare(runs[0], other) for other in runs[1:]))


def on_the_host() -> Report:
    run = reports.run("gloo")
    return reports.report(replace(run, ranks=tuple(replace(rank, source="cpu", gpu=None) for rank in run.ranks)))


def against_unsized() -> Report:
    sized, unsized = reports.run("torch"), reports.run("pynccl", backend="pynccl", speed=1.2, sized=False)
    return reports.report(sized, unsized, comparisons=(reports.compare(sized, unsized),))


VARIANTS = {
    "two runs": reports.two_runs(),
    "one run": reports.one_run(),
    "no run": reports.report(),
    "no calls": without_calls(),
    "64 ranks": reports.two_runs(64),
    "ten runs": many_runs(),
    "on the host": on_the_host(),
    "sizes unknown": against_unsized(),
    "hostile": reports.hostile("".join(HOSTILE)),
    "long names": reports.hostile("ncclDevKernel_" * 40),
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_is_well_formed_and_loads_nothing(variant: str) -> None:
    page = Page(render(VARIANTS[variant]))
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert {link[1:] for link in page.links} <= set(page.ids)
    assert "style" not in page.attributes
    assert not any(name.startswith("on") for name in page.attributes)


def test_the_first_screen_answers() -> None:
    text = Page(render(reports.two_runs())).text
    assert "pynccl is faster than torch at all 5 combinations of operation and size (1.26–1.39×)." in text
    assert "1.32× speed-up of communication, pynccl over torch" in text
    assert "38.1 % → 32.2 % of the window is exposed communication" in text
    assert "Like for like." in text


def test_it_says_that_the_interval_treats_calls_as_the_sample() -> None:
    sentence = "The interval treats calls as the sample"
    assert sentence in Page(render(reports.two_runs())).text
    assert sentence not in Page(render(reports.one_run())).text


def test_reasons_against_a_comparison_are_told() -> None:
    slow, fast = reports.two_runs().runs
    comparison = reports.compare(slow, fast, reasons=("world sizes differ: 2 and 4",))
    text = Page(render(reports.report(slow, fast, comparisons=(comparison,)))).text
    assert "Not like for like." in text
    assert "world sizes differ: 2 and 4" in text
    assert "But the runs are not like for like" in text


@pytest.mark.parametrize(("speed", "says"), [(0.7, "pynccl is slower"), (1.0, "do not differ measurably")])
def test_the_sentence_follows_the_verdicts(speed: float, says: str) -> None:
    slow = reports.run("torch")
    other = replace(reports.run("torch", speed=speed), label="pynccl")
    text = Page(render(reports.report(slow, other, comparisons=(reports.compare(slow, other),)))).text
    assert says in text


def test_one_run_says_how_much_it_communicates() -> None:
    text = Page(render(reports.one_run())).text
    assert "torch communicates for 45.6 % of its window" in text
    assert "Comparison" not in text


def test_a_run_without_communication_says_so() -> None:
    assert "No communication was found in torch." in Page(render(without_calls())).text


def test_unknown_sizes_are_counted_and_compared_by_duration() -> None:
    text = Page(render(against_unsized())).text
    assert "144 calls of 144 in pynccl carry no message size" in text
    assert "Rows on the basis of duration include waiting" in text
    assert "pynccl is faster than torch at all 5 operations (" in text
    assert "None" not in text


def test_a_trace_without_a_gpu_says_so() -> None:
    assert "gloo holds no GPU activity" in Page(render(on_the_host())).text


def test_defects_of_the_input_are_told() -> None:
    run = reports.run("torch")
    damaged = replace(run, missing_ranks=(1, 3), coverage=replace(run.coverage, skipped_events=7, notes=("odd dtype",)))
    text = Page(render(reports.report(damaged, passed_over=("traces/notes.json",)))).text
    for words in ("is incomplete", "1, 3", "odd dtype", "1 file passed over", "traces/notes.json"):
        assert words in text


def test_hta_is_shown_or_its_failure() -> None:
    table = HtaTable(title="Idle time", columns=("stream", "cause"), rows=(("7", "host wait"),))
    good = HtaSection(rank=0, version="0.5.0", tables=(table,), error=None)
    bad = HtaSection(rank=0, version="0.5.0", tables=(), error="KeyError: 'stream'")
    first, second = reports.two_runs().runs
    text = Page(render(reports.report(replace(first, hta=good), replace(second, hta=bad)))).text
    assert "host wait" in text
    assert "HolisticTraceAnalysis failed on this trace" in text


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text(name: str) -> None:
    html = render(reports.hostile(name))
    page = Page(html)
    assert page.elements.count("script") == 1
    assert "img" not in page.elements
    assert name in unescape(html)


def test_the_policy_admits_this_style_and_script_only() -> None:
    html = render(reports.two_runs())
    policy = unescape(re.findall(r'Content-Security-Policy" content="([^"]*)"', html)[0])
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        (body,) = re.findall(f"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(body.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy


def test_two_runs_of_eight_ranks_stay_under_a_megabyte() -> None:
    assert len(render(reports.two_runs(8)).encode()) < 1_000_000
