"""The twenty scenarios, and how they are run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.scorecard import histories, landings, races, servings, trainings
from tests.scorecard.cells import Row, Seen
from tests.scorecard.world import World, world_in

Scenario = Callable[[World], tuple[Seen, Seen]]

SCENARIOS: tuple[tuple[str, Scenario], ...] = (
    ("two appends between runs", histories.two_appends),
    ("overwrite in range", histories.overwrite),
    ("delete in range", histories.delete),
    ("compaction in range", histories.compaction),
    ("start snapshot expired", histories.start_expired),
    ("table rolled back", histories.rolled_back),
    ("column added", histories.column_added),
    ("append retried after its commit", landings.append_retried),
    ("append fails on the schema", landings.append_fails),
    ("training retried after registering", trainings.training_retried),
    ('stale "latest run"', trainings.stale_latest_run),
    ("shifted label rate", landings.shifted_labels),
    ("challenger equal within noise", trainings.equal_within_noise),
    ("one slice regresses", trainings.one_slice_regresses),
    ("server has another XGBoost", servings.other_library),
    ("feature order differs in serving", servings.feature_order),
    ("same model URI, new bytes", servings.same_uri_new_bytes),
    ("new server crash-loops, the old one serves", servings.crash_loop),
    ("two promotions at once", races.two_promotions),
    ("mutable image tag and a cached step", races.mutable_tag),
)


def play(folder: Path, numbers: tuple[int, ...] = ()) -> Iterator[tuple[Row, float]]:
    """Run the scenarios below a folder; each row as it is known, with its seconds.

    Args:
        folder: an empty one.
        numbers: only these; all by default.
    """
    with world_in(folder) as world:
        for number, (name, scenario) in enumerate(SCENARIOS, 1):
            if numbers and number not in numbers:
                continue
            started = time.monotonic()
            labs, lakeloop = scenario(world)
            yield Row(number, name, labs, lakeloop), time.monotonic() - started
