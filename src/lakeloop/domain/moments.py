"""Moments as people write them."""

from __future__ import annotations

from datetime import UTC, datetime

from lakeloop.domain.errors import UserError

_SHORTEST_MILLISECONDS = 11  # digits: 1973; fewer are a date such as 20260131
_LONGEST_MILLISECONDS = 15


def parse_moment(text: str, now_ms: int) -> int:
    """Milliseconds since the epoch.

    Args:
        text: `now`, ISO 8601 (without a zone it is UTC; a date alone is its midnight), or milliseconds.
        now_ms: what `now` is.

    Raises:
        UserError: it is none of these.
    """
    given = text.strip()
    if given.lower() == "now":
        return now_ms
    if given.isascii() and given.isdecimal() and len(given) >= _SHORTEST_MILLISECONDS:
        if len(given) <= _LONGEST_MILLISECONDS:
            return int(given)
        raise _not_a_moment(text)
    try:
        moment = datetime.fromisoformat(given)
        aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return int(aware.timestamp() * 1000)
    except (ValueError, OverflowError) as error:
        raise _not_a_moment(text) from error


def _not_a_moment(text: str) -> UserError:
    return UserError(
        f"{text!r} is not a moment",
        fix="write now, 2026-01-31T18:00 (UTC), 2026-01-31T18:00:00+01:00, or milliseconds since the epoch",
    )
