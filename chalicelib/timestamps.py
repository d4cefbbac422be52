"""Points in time as text, the same in Redis and in the HTTP API: RFC 3339, in UTC, with microseconds."""

from datetime import UTC, datetime


def format_time(moment: datetime | None) -> str:
    """A time such as ``2026-01-31T12:00:00.000000Z``; empty for None."""
    if moment is None:
        return ""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> datetime | None:
    """The inverse of `format_time`."""
    return datetime.fromisoformat(text) if text else None
