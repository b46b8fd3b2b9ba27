"""Years between a date of the row and its event time, as SQL over the row alone. Pure.

Both are null where either date is unknown, and where the date lies after the event: what has not happened yet has no
age. Instants count by their day in UTC.
"""

from __future__ import annotations

from lakeloop.domain.dialects import Dialect

DAYS_A_YEAR = 365.2425
"""The Gregorian calendar's mean year."""


def age_sql(since: str, event_time: str, dialect: Dialect) -> str:
    """Complete years, as people count them: one more on each birthday, on 1 March for those of 29 February.

    Args:
        since: quoted column, a date or timestamp.
        event_time: quoted column, a date or timestamp.
        dialect: of the engine that reads it.
    """
    day, birth = f"CAST({event_time} AS DATE)", f"CAST({since} AS DATE)"
    before = f"month({day}) * 100 + day({day}) < month({birth}) * 100 + day({birth})"
    years = f"year({day}) - year({birth}) - CASE WHEN {before} THEN 1 ELSE 0 END"
    return f"(CASE WHEN {dialect.days_between(birth, day)} >= 0 THEN {years} END)"


def years_since_sql(since: str, event_time: str, dialect: Dialect) -> str:
    """Whole days between the two, in years of 365.2425 days; arguments as `age_sql`."""
    days = dialect.days_between(f"CAST({since} AS DATE)", f"CAST({event_time} AS DATE)")
    return f"(CASE WHEN {days} >= 0 THEN CAST({days} AS DOUBLE) / {DAYS_A_YEAR / 100!r}e2 END)"
