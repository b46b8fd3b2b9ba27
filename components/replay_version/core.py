"""What a replay's end means."""

from __future__ import annotations

from typing import cast

from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.replay import Replay, Source, causes

SOURCES = ("source", "features")


def source_of(text: str) -> Source:
    """What to rebuild from.

    Raises:
        UserError: it is neither.
    """
    if text not in SOURCES:
        raise UserError(f"{text!r} is nothing to replay from", where="source", fix="use source or features")
    return cast("Source", text)


def told(replay: Replay) -> str:
    """The outcome in a line."""
    if replay.outcome == "identical":
        return (
            f"version {replay.version} came out identical from {replay.source}: "
            f"{replay.rows} rows, booster {replay.booster_sha256.now}"
        )
    score = replay.max_score_difference
    by = "" if score is None else f"; scores differ by {score:.3g} at most"
    return f"version {replay.version} differs: {len(replay.differences)} differences{by}"


def difference_error(replay: Replay) -> LakeloopError:
    """What the step ends with, exit code 1, when the version is not what its lineage makes."""
    first = "; ".join(difference.told() for difference in replay.differences[:3])
    return LakeloopError(
        f"{told(replay)}: {first}",
        where=f"{replay.use_case} version {replay.version}",
        fix=f"probably {'; '.join(causes(replay))}",
    )
