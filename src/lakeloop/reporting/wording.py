"""Numbers and times as people read them."""

from __future__ import annotations

import math
from datetime import UTC, datetime

ABSENT = "\u2013"
_THOUSAND_SECONDS = 1000
_MINUTE, _HOUR = 60, 3600
_WHOLE_FROM, _WHOLE_BELOW = 1_000, 10**10  # compact numbers: whole between, exponents above

METRIC_TITLES = {
    "roc_auc": "ROC AUC",
    "pr_auc": "PR AUC",
    "log_loss": "log loss",
    "brier": "Brier score",
}
SMALLER_IS_BETTER = frozenset({"log_loss", "brier"})


def metric_title(name: str) -> str:
    """`roc_auc` as `ROC AUC`; an unknown metric as it is."""
    return METRIC_TITLES.get(name, name.replace("_", " "))


def whole(value: float | None) -> str:
    """A count with thousands separators."""
    return ABSENT if value is None else f"{value:,.0f}"


def decimal(value: float | None, places: int = 4) -> str:
    """A metric with fixed places; a difference smaller than they show keeps two significant digits."""
    if value is None or not math.isfinite(value):
        return ABSENT
    return f"{value:.{places}f}" if value == 0 or abs(value) >= 10**-places else f"{value:.1e}"


def signed(value: float | None, places: int = 4) -> str:
    """A difference, its sign always shown (minus is U+2212)."""
    if value is None:
        return ABSENT
    sign = "\u2212" if value < 0 else "+"
    return f"{sign}{decimal(abs(value), places)}"


def percent(value: float | None, places: int = 1) -> str:
    """A share of 1 as per cent."""
    return ABSENT if value is None else f"{100 * value:.{places}f} %"


def compact(value: float | None) -> str:
    """Any number in few characters, four significant digits."""
    if value is None or not math.isfinite(value):
        return ABSENT
    if abs(value) >= _WHOLE_BELOW:
        return f"{value:.3e}"
    plain = float(value).is_integer() or abs(value) >= _WHOLE_FROM
    return f"{value:,.0f}" if plain else f"{value:.4g}"


def seconds(value: float | None) -> str:
    """A duration: 0.4 s, 12 s, 3 min 05 s, 2 h 07 min; nothing for None."""
    if value is None:
        return ""
    if value < _MINUTE:
        return f"{value:.1f} s" if value < 10 else f"{value:.0f} s"  # noqa: PLR2004 - one decimal below ten
    if value < _HOUR:
        return f"{int(value) // _MINUTE} min {int(value) % _MINUTE:02d} s"
    return f"{int(value) // _HOUR} h {int(value) % _HOUR // _MINUTE:02d} min"


def utc(milliseconds: int | None) -> str:
    """A time stamp in milliseconds since 1970 as `2026-03-01 09:30:12 UTC`."""
    if not milliseconds:
        return ABSENT
    moment = datetime.fromtimestamp(milliseconds / _THOUSAND_SECONDS, tz=UTC)
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def counted(number: int, noun: str) -> str:
    """`1 row`, `2,000 rows`."""
    plural = "es" if noun.endswith(("s", "ch", "x")) else "s"
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}{plural}"


def clipped(text: str, characters: int = 400) -> str:
    """The text, cut with an ellipsis where it is too long for a sentence."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"
