"""`python -m tests.schema` writes the JSON schema of report.json, which is shipped beside the report's own values."""

from pathlib import Path

import msgspec

from traceana.report import Report

FILE = Path(__file__).parents[1] / "traceana" / "report" / "report.schema.json"


def content() -> bytes:
    """The schema as it should be."""
    return msgspec.json.format(msgspec.json.encode(msgspec.json.schema(Report)), indent=1) + b"\n"


if __name__ == "__main__":
    FILE.write_bytes(content())
