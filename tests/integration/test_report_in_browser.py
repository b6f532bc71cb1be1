"""The report in headless Chromium, where markup, style, script and content policy meet."""

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests import reports
from tests.browser import chromium, skip_without_browser
from tests.report_variants import with_other_steps
from traceana.render.html import VIEWS, render
from traceana.report import RankWait, Report
from traceana.units import NO_BREAK_SPACE

HOSTILE = '<script>alert(1)</script>"><img src=x>'

skip_without_browser()

from selenium import webdriver  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.select import Select  # noqa: E402
from selenium.webdriver.support.wait import WebDriverWait  # noqa: E402


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def page(browser: webdriver.Chrome, tmp_path: Path) -> Iterator["ReportPage"]:
    yield ReportPage(browser, tmp_path / "report.html")
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


class ReportPage:
    """A report opened from a file, with what the browser logged since."""

    def __init__(self, driver: webdriver.Chrome, path: Path) -> None:
        self.driver = driver
        self.path = path

    def show(self, report: Report, *, at: str = "") -> None:
        """Open the report, in the view that holds the section `at`."""
        self.path.write_text(render(report), encoding="utf-8")
        for kind in ("browser", "performance"):
            self.log(kind)
        self.driver.get(self.path.as_uri())
        if at:
            self.go(at)

    def go(self, section: str) -> None:
        """Follow a link to a section."""
        self.driver.execute_script("location.hash = arguments[0]", section)
        found = self.driver.find_element(By.ID, section)
        WebDriverWait(self.driver, 20).until(lambda _: found.is_displayed())

    def log(self, kind: str) -> list[dict[str, str]]:
        """What was logged since the last call."""
        entries: list[dict[str, str]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def requests(self) -> set[str]:
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return {
            message["params"]["request"]["url"]
            for message in messages
            # The browser's own start page may still be loading when the log is read.
            if message["method"] == "Network.requestWillBeSent"
            and message["params"]["documentURL"] == self.path.as_uri()
        }

    def saved(self, name: str, folder: Path) -> list[dict[str, str]]:
        """Press the button of the table of that name and read what it saves."""
        behaviour = {"behavior": "allow", "downloadPath": str(folder)}
        self.driver.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
        table = self.driver.find_element(By.CSS_SELECTOR, f'[data-csv="{name}"]')
        self.driver.execute_script("arguments[0].parentElement.previousElementSibling.click()", table)
        path = folder / f"{name}.csv"
        WebDriverWait(self.driver, 20).until(lambda _: path.exists())
        with path.open(newline="", encoding="utf-8-sig") as file:
            return list(csv.DictReader(file))

    def column(self, table: str, number: int) -> list[str]:
        shown = "return [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility())"
        cells: list[str] = self.driver.execute_script(
            f"{shown}.map((one) => one.innerText.trim())", f"{table} tbody tr > :nth-child({number})"
        )
        return [cell.replace(NO_BREAK_SPACE, " ") for cell in cells]

    def tip(self) -> str:
        """The tooltip that is shown."""
        tip = self.driver.find_element(By.ID, "tip")
        WebDriverWait(self.driver, 20).until(lambda _: tip.is_displayed())
        return tip.text.replace(NO_BREAK_SPACE, " ")

    def shown_steps(self) -> list[str]:
        """The steps that the timeline shows, in order."""
        heads = self.driver.find_elements(By.CSS_SELECTOR, ".strip h3")
        return [found[0] for head in heads if (found := re.search(r"denoise_step \d+", head.text))]

    def body(self) -> str:
        return self.driver.find_element(By.TAG_NAME, "body").text


def test_the_console_is_silent_and_nothing_is_requested(page: ReportPage) -> None:
    page.show(reports.two_runs(8), at="all_calls")
    page.driver.find_element(By.CSS_SELECTOR, "#calls th").click()
    assert page.requests() == {page.path.as_uri()}
    assert page.log("browser") == []


def test_a_table_sorts_by_value_both_ways(page: ReportPage) -> None:
    page.show(reports.two_runs(), at="all_calls")
    header = page.driver.find_element(By.CSS_SELECTOR, "#calls thead th:nth-child(2)")
    header.click()
    assert page.column("#calls", 2)[::2] == ["12 MiB", "4 MiB", "4 MiB", "512 KiB", "64 KiB"]
    assert header.get_attribute("aria-sort") == "descending"
    header.send_keys(Keys.ENTER)
    assert page.column("#calls", 2)[::2] == ["64 KiB", "512 KiB", "4 MiB", "4 MiB", "12 MiB"]
    assert header.get_attribute("aria-sort") == "ascending"


def test_a_table_is_saved_as_csv_with_plain_numbers(page: ReportPage, tmp_path: Path) -> None:
    page.show(reports.two_runs(), at="all_calls")
    page.driver.find_element(By.ID, "filter").send_keys("pynccl all_to")
    rows = page.saved("calls", tmp_path)
    assert [row["operation"] for row in rows] == ["all_to_all", "all_to_all"]
    assert [row["size (bytes)"] for row in rows] == [str(12 << 20), str(4 << 20)]
    assert all(int(row["duration p50 (ns)"]) > 100_000 for row in rows)
    assert [*page.saved("spans", tmp_path)[0]][-1] == "exposed, each (ns)"


def test_every_table_has_its_button(page: ReportPage) -> None:
    page.show(reports.two_runs())
    tables = page.driver.find_elements(By.TAG_NAME, "table")
    names = [table.get_attribute("data-csv") for table in tables]
    assert len(page.driver.find_elements(By.CSS_SELECTOR, "button:has(+ .scroll)")) == len(tables)
    assert len(set(names)) == len(names)
    assert None not in names


def test_a_name_that_looks_like_a_formula_is_saved_as_text(page: ReportPage, tmp_path: Path) -> None:
    name = '=HYPERLINK("http://a","b")'
    page.show(reports.hostile(name))
    assert {row["operation"] for row in page.saved("calls", tmp_path)} == {f"'{name}"}


def test_the_filter_keeps_rows_that_hold_every_word(page: ReportPage) -> None:
    page.show(reports.two_runs(), at="all_calls")
    page.driver.find_element(By.ID, "filter").send_keys("pynccl all_to")
    assert page.column("#calls", 1) == ["all_to_all", "all_to_all"]
    assert page.driver.find_element(By.ID, "filter-count").text == "2 of 10"


def test_highlighting_dims_the_other_operations(page: ReportPage) -> None:
    page.show(reports.two_runs())
    Select(page.driver.find_element(By.ID, "pick-op")).select_by_value("all_reduce")
    others = page.driver.find_elements(By.CSS_SELECTOR, '[data-op]:not([data-op="all_reduce"])')
    assert others
    assert all("dimmed" in str(element.get_attribute("class")) for element in others)
    page.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.ESCAPE)
    assert page.driver.find_elements(By.CLASS_NAME, "dimmed") == []


def test_a_command_is_copied_or_selected(page: ReportPage) -> None:
    page.show(reports.two_runs(), at="waits")
    place = page.driver.find_element(By.CSS_SELECTOR, "#waits .place")
    button = place.find_element(By.TAG_NAME, "button")
    assert button.text == "Copy"
    button.click()
    WebDriverWait(page.driver, 20).until(lambda _: button.text in ("Copied", "Press Ctrl+C"))
    selected = page.driver.execute_script("return getSelection().toString()")
    assert selected == "traceana open traces/torch --at worst-wait"


def test_hostile_names_show_as_text(page: ReportPage) -> None:
    page.show(reports.hostile(HOSTILE))
    assert f"{HOSTILE}pynccl is faster than" in page.body()
    assert page.driver.find_elements(By.TAG_NAME, "img") == []
    assert page.requests() == {page.path.as_uri()}
    assert page.log("browser") == []


def test_a_tooltip_shows_a_definition(page: ReportPage) -> None:
    page.show(reports.two_runs())
    term = page.driver.find_element(By.CSS_SELECTOR, ".figure .term")
    page.driver.execute_script("arguments[0].scrollIntoView({block: 'center'})", term)
    webdriver.ActionChains(page.driver).move_to_element(term).perform()
    assert "while no compute ran on the same device" in page.tip()


def test_the_page_stands_without_scripts(page: ReportPage) -> None:
    page.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    page.show(with_other_steps(reports.two_runs()))
    text = page.body()
    for heading in ("Comparison", "Where the time goes", "Who waits for whom", "Glossary"):
        assert heading in text
    assert "every operation" not in text
    assert not any(button.is_displayed() for button in page.driver.find_elements(By.TAG_NAME, "button"))
    assert all(strip.is_displayed() for strip in page.driver.find_elements(By.CLASS_NAME, "strip"))


def test_one_view_shows_at_a_time_and_a_link_opens_its_own(page: ReportPage) -> None:
    page.show(reports.two_runs())
    views = page.driver.find_elements(By.CLASS_NAME, "view")
    assert [view.is_displayed() for view in views] == [True, False, False, False, False]
    page.driver.find_element(By.CSS_SELECTOR, "#headline .term").click()
    glossary = page.driver.find_element(By.ID, "glossary")
    WebDriverWait(page.driver, 20).until(lambda _: glossary.is_displayed())
    assert [view.is_displayed() for view in views] == [False, False, False, False, True]
    assert page.driver.find_element(By.CSS_SELECTOR, "#headline h1").is_displayed()


def test_no_cell_s_text_runs_into_the_next(page: ReportPage) -> None:
    metrics = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.show(reports.two_runs())
    over = """return [...document.querySelectorAll("td, th")].filter((one) => one.checkVisibility())
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)"""
    for view in VIEWS:
        page.go(f"view-{view.name}")
        assert page.driver.execute_script(over) == []


@pytest.mark.parametrize("width", [420, 1400])
def test_every_view_s_link_is_on_the_screen(page: ReportPage, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.show(reports.two_runs())
    rights = "return [...document.querySelectorAll('.bar a')].map((one) => one.getBoundingClientRect().right)"
    for view in VIEWS:
        page.go(f"view-{view.name}")
        assert max(page.driver.execute_script(rights)) <= width


def test_the_first_view_of_two_runs_is_short(page: ReportPage) -> None:
    page.show(reports.two_runs())
    assert page.driver.execute_script("return document.documentElement.scrollHeight") < 6000


@pytest.mark.parametrize("width", [420, 1400])
def test_the_page_is_no_wider_than_the_screen(page: ReportPage, width: int) -> None:
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.show(reports.hostile("ncclDevKernel_" * 20))
    for view in VIEWS:
        page.go(f"view-{view.name}")
        assert page.driver.execute_script("return document.documentElement.scrollWidth") <= width


def test_arrows_lead_a_keyboard_through_the_tooltips_of_a_chart(page: ReportPage) -> None:
    page.show(reports.two_runs(), at="timeline")
    strip = page.driver.find_element(By.CSS_SELECTOR, "#timeline .zoomed svg.plot")
    page.driver.execute_script("arguments[0].focus({focusVisible: true})", strip)
    told = []
    for key in (Keys.ARROW_RIGHT, Keys.ARROW_RIGHT, Keys.ARROW_DOWN, Keys.ARROW_UP):
        webdriver.ActionChains(page.driver).send_keys(key).perform()
        told.append(page.tip())
    assert told[0].startswith("rank 0: about compute")
    assert re.fullmatch("rank 0: all_to_all 4 MiB among 2 ranks, .* here, waits .*, transfers .*", told[1])
    assert [text[:7] for text in told[2:]] == ["rank 1:", "rank 0:"]
    page.go("comparison")
    table = page.driver.find_element(By.CSS_SELECTOR, "#comparison table")
    page.driver.execute_script("arguments[0].focus()", table)
    webdriver.ActionChains(page.driver).send_keys(Keys.ARROW_RIGHT).perform()
    assert "95 % interval" in page.tip()


def test_strips_are_magnified_and_moved_together(page: ReportPage) -> None:
    page.show(reports.two_runs(), at="timeline")
    fine = page.driver.find_element(By.CSS_SELECTOR, "#timeline .tick.fine")
    assert not fine.is_displayed()
    for _ in range(2):
        page.driver.find_element(By.ID, "zoom-in").click()
    shares = "return [...document.querySelectorAll('.zoom')].map(one => one.scrollWidth / one.clientWidth)"
    assert page.driver.execute_script(shares) == pytest.approx([4, 4], rel=0.05)
    assert fine.is_displayed()
    page.driver.execute_script("document.querySelector('.zoom').scrollLeft = 321")
    lefts = "return [...document.querySelectorAll('.zoom')].map(one => Math.round(one.scrollLeft))"
    WebDriverWait(page.driver, 20).until(lambda driver: driver.execute_script(lefts) == [321, 321])
    page.driver.find_element(By.ID, "zoom-none").click()
    assert page.driver.execute_script(shares) == pytest.approx([1, 1], rel=0.05)


def test_a_step_is_chosen_for_all_runs(page: ReportPage) -> None:
    page.show(with_other_steps(reports.two_runs()), at="timeline")
    assert page.shown_steps() == ["denoise_step 1"] * 2
    pick = Select(page.driver.find_element(By.ID, "pick-step"))
    pick.select_by_value("slowest")
    assert page.shown_steps() == ["denoise_step 2"] * 2
    pick.select_by_visible_text("all")
    assert len(page.shown_steps()) == 6


def test_everything_is_printed(page: ReportPage) -> None:
    page.show(with_other_steps(reports.two_runs()))
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    hidden = """
        const apart = ".needs-script, button, .definitions, .minor, .fine";
        const unseen = (one) => !one.checkVisibility({contentVisibilityAuto: true}) && !one.closest(apart);
        return [...document.querySelectorAll("main *")].filter(unseen).map((one) => one.outerHTML.slice(0, 80));
    """
    try:
        assert page.driver.execute_script(hidden) == []
        assert not any(button.is_displayed() for button in page.driver.find_elements(By.TAG_NAME, "button"))
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_no_table_is_wider_than_the_sheet(page: ReportPage) -> None:
    a4_landscape_without_margins = 1031
    metrics = {"width": a4_landscape_without_margins, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.show(reports.two_runs())
    page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    over = """return [...document.querySelectorAll("table")]
        .filter((one) => one.offsetWidth > one.parentElement.offsetWidth + 1).map((one) => one.dataset.csv)"""
    try:
        assert page.driver.execute_script(over) == []
    finally:
        page.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_the_first_column_stays_where_a_table_scrolls(page: ReportPage) -> None:
    metrics = {"width": 420, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    page.show(reports.two_runs())
    for section, name in (("spans", "spans"), ("sites", "call-sites"), ("comparison", "comparison-1")):
        page.go(section)
        table = page.driver.find_element(By.CSS_SELECTOR, f'[data-csv="{name}"]')
        moved = """
            const [table] = arguments, box = table.parentElement, first = table.tBodies[0].rows[0].cells[0];
            const lefts = () => [first, first.nextElementSibling].map((one) => one.getBoundingClientRect().left);
            const before = lefts();
            box.scrollLeft = 60;
            return lefts().map((left, index) => Math.round(before[index] - left));
        """
        assert page.driver.execute_script(moved, table) == [0, 60], name


def test_the_first_key_leads_past_the_links(page: ReportPage) -> None:
    page.show(reports.one_run())
    page.driver.find_element(By.TAG_NAME, "body").send_keys(Keys.TAB)
    skip = page.driver.switch_to.active_element
    assert (skip.text, str(skip.get_attribute("href")).partition("#")[2]) == ("Skip to the answer", "headline")
    assert skip.rect["x"] >= 0


def test_a_wait_matrix_of_64_ranks_begins_with_the_outliers_and_sorts(page: ReportPage) -> None:
    waits = tuple(
        RankWait(rank=rank, op="all_reduce", calls=1, wait_ns=9_000_000 if rank in (40, 7) else 100_000 + rank)
        for rank in range(64)
    )
    (run,) = reports.one_run(64).runs
    page.show(reports.report(replace(run, waits=waits)), at="waits")
    assert page.column("#waits .heat", 1)[:2] == ["7", "40"]
    page.driver.find_element(By.CSS_SELECTOR, "#waits .heat thead th").click()
    assert page.column("#waits .heat", 1)[0] == "63"
