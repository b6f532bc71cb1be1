"""The comparison of two checkouts' reports finds what differs, and tells a new field from a changed one."""

import json
from pathlib import Path

import pytest

from tests.same_reports import REPORT, compare, differences


def test_equal_documents_do_not_differ() -> None:
    document = {"runs": [{"rank": 0, "wait_ns": None}], "text": "a"}
    assert list(differences(document, json.loads(json.dumps(document)))) == []


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": [1, 2]}, {"a": [1, 3]}, (".a[1]", "2", "3")),
        ({"a": [1]}, {"a": [1, 3]}, (".a", "1 entries", "2 entries")),
        ({"a": 0}, {"a": None}, (".a", "0", "null")),
        ({"a": 1}, {"a": 1.0}, (".a", "1", "1.0")),
        ({"a": 1}, {}, (".a", "1", "absent")),
        ({}, {"a": 1}, (".a", "absent", "1")),
    ],
)
def test_a_difference_is_found(before: object, after: object, found: tuple[str, str, str]) -> None:
    assert list(differences(before, after)) == [found]


def test_new_fields_are_named_and_are_no_change(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for folder, ranks in (("before", [{"a": 1}, {"a": 2}]), ("after", [{"a": 1, "b": 0}, {"a": 5, "b": 0}])):
        (tmp_path / folder / "run").mkdir(parents=True)
        (tmp_path / folder / "run" / REPORT).write_text(json.dumps({"ranks": ranks}))
    assert compare(tmp_path / "before", tmp_path / "after") == 1
    assert capsys.readouterr().out.splitlines() == [
        "run: ranks[1].a: 2 -> 5 (1 of this field)",
        "new: ranks[].b (2)",
        "1 reports, 1 changes",
    ]
