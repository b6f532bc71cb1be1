"""The schema that is shipped is that of the report, and reports obey it."""

import json

import msgspec

from tests import reports
from tests.schema import FILE, content


def test_the_shipped_schema_is_the_reports() -> None:
    assert FILE.read_bytes() == content(), "python -m tests.schema writes it anew"


def test_a_report_obeys_it_and_another_value_does_not() -> None:
    # It takes seconds to import, which every process of a run of tests would pay as it collects.
    from jsonschema import Draft202012Validator

    validator = Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))
    report = json.loads(msgspec.json.encode(reports.two_runs()))
    assert list(validator.iter_errors(report)) == []
    report["runs"][0]["ranks"][0]["span_ns"] = "long"
    assert [error.json_path for error in validator.iter_errors(report)] == ["$.runs[0].ranks[0].span_ns"]
