"""Times as run.json has them: ISO 8601, UTC."""

import datetime


def now() -> str:
    """This moment."""
    return datetime.datetime.now(datetime.timezone.utc).isoformat()


def iso(seconds: float) -> str:
    """A time in seconds since the epoch."""
    return datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc).isoformat()
