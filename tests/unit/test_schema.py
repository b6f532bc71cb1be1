"""The schema that is shipped is that of the report, and reports obey it."""

import json
import sys

import msgspec
import pytest

from tests import reports
from tests.schema import FILE, content


def test_the_shipped_schema_is_the_reports() -> None:
    assert FILE.read_bytes() == content(), "python -m tests.schema writes it anew"


def test_a_report_obeys_it_and_another_value_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    # What checks the format of URLs compiles a grammar at its import, for seconds; the schema has no formats.
    monkeypatch.setitem(sys.modules, "rfc3987_syntax", None)
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
    report = json.loads(msgspec.json.encode(reports.two_runs()))
    assert list(validator.iter_errors(report)) == []
    report["runs"][0]["ranks"][0]["span_ns"] = "long"
    assert [error.json_path for error in validator.iter_errors(report)] == ["$.runs[0].ranks[0].span_ns"]
