"""What `lakeloop replay` prints, and with what code its step ends."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from components.replay_version.core import difference_error, source_of, told
from lakeloop.cli.replay import replay_lines
from lakeloop.domain.errors import UserError
from lakeloop.domain.lineage import CodeIdentity
from lakeloop.domain.replay import ColumnChange, Rebuilt, Replay, compare
from tests.fakes import documents


def replay(**changes: Any) -> Replay:
    trained = documents.training()
    same = {
        "booster_sha256": trained.booster_sha256,
        "model_digest": trained.model_digest,
        "rows": trained.lineage.training_set.rows,
        "data": {},
        "code": CodeIdentity(libraries={"numpy": "2.4"}),
        "metrics": {"roc_auc": 0.86},
        "recorded_metrics": {"roc_auc": 0.86},
        "max_score_difference": 0.0,
    }
    return compare(trained, "3", "source", Rebuilt(**{**same, **changes}), seconds=2.0)


def test_an_identical_version_in_a_few_lines() -> None:
    lines = replay_lines(replay())
    assert lines[0].endswith("version 3 came out identical (2.0 s)")
    text = "\n".join(lines)
    assert "booster     identical, sha256" in text
    assert "roc_auc 0.860000, as recorded" in text
    assert "library numpy: none recorded, 2.4 now; it made no difference" in text
    assert "differs" not in text


def test_a_version_that_differs_says_what_and_by_how_much() -> None:
    change = ColumnChange(rows="newest", column="amount", different=1200, example="id7: 1.0 and 2.0")
    found = replay(
        booster_sha256="x", metrics={"roc_auc": 0.85}, max_score_difference=0.25, changes=(change,)
    )
    text = "\n".join(replay_lines(found))
    assert "version 3 DIFFERS from its record" in text
    assert "differ by 0.25 at most" in text
    assert "roc_auc 0.850000, 0.860000 recorded: -0.01" in text
    assert "1,200 values of amount of the newest range; id7: 1.0 and 2.0" in text
    assert "made no difference" not in text
    error = difference_error(found)
    assert error.exit_code == 1
    assert "booster.ubj" in str(error)
    assert told(found) == "version 3 differs: 2 differences; scores differ by 0.25 at most"


def test_a_source_that_is_none_is_refused_before_anything_starts() -> None:
    with pytest.raises(UserError, match="use source or features"):
        source_of("nowhere")
    done = subprocess.run(
        [sys.executable, "-m", "lakeloop.cli", "replay", "card_fraud", "1", "--from", "nowhere"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "'nowhere' is nothing to replay from" in done.stderr
