"""What commands print, from documents of made-up runs."""

from pathlib import Path
from typing import Any

import pytest

from lakeloop.adapters.memory.deployer import MemoryDeployer
from lakeloop.adapters.memory.models import MemoryModels
from lakeloop.cli.history import history_lines
from lakeloop.cli.output import program, table
from lakeloop.cli.plan import plan_lines
from lakeloop.cli.plants import parse_plants
from lakeloop.cli.runs import run_row
from lakeloop.cli.serve import bring_up
from lakeloop.cli.status import status_lines
from lakeloop.cli.summary import summary_lines
from lakeloop.domain.errors import UserError
from lakeloop.domain.features import FeatureEncoding
from lakeloop.domain.ledger import LedgerEvent
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE, model_digest
from tests.fakes import documents as runs


def labels(documents: dict[str, Any]) -> dict[str, str]:
    lines = [line.split(maxsplit=1) for line in summary_lines(documents)]
    return {line[0]: line[1] for line in lines}


def test_a_promotion_tells_snapshot_verdict_version_endpoint_and_the_row_it_answered() -> None:
    told = labels(runs.promoted())
    assert runs.TO in told["batch"]
    assert f"({runs.FROM}, {runs.TO}]" in told["snapshots"]
    assert told["verdict"].startswith("promote: ")
    assert "version 7 @champion" in told["model"]
    assert told["endpoint"].startswith(runs.URL)
    assert "1834.22" in told["answered"]
    assert told["scores"].startswith("roc_auc: challenger 0.")


def test_a_rejection_tells_why_and_claims_neither_version_nor_endpoint() -> None:
    told = labels(runs.rejected())
    assert told["verdict"].startswith("reject: ")
    assert not {"model", "endpoint", "answered"} & set(told)


def test_a_rolled_back_version_is_not_called_champion() -> None:
    told = labels(runs.rolled_back())
    assert "@challenger" in told["model"]
    assert "rolled back" in told["endpoint"]
    assert "answered" not in told


def test_a_refused_batch_tells_the_broken_rules() -> None:
    told = labels(runs.batch_refused())
    assert "range(age)" in told["refused"]
    assert "expected" in told["refused"]
    assert "verdict" not in told


def test_a_refused_range_tells_the_reason() -> None:
    assert "overwrite" in labels(runs.training_refused())["refused"]


def test_nothing_new_is_said() -> None:
    told = labels(runs.nothing_new())
    assert "have landed" in told["batch"]
    assert "no new snapshot" in told["snapshots"]


def test_a_run_without_documents_has_no_summary() -> None:
    assert summary_lines({}) == []


def test_plan_lists_reasons_range_and_snapshots() -> None:
    lines = plan_lines("card_fraud", runs.plan())
    assert lines[0] == "card_fraud: append-scan"
    assert any(runs.TO in line and "append" in line for line in lines[3:])


def test_history_is_a_line_an_event() -> None:
    event = LedgerEvent(
        event_id="e",
        use_case="c",
        kind="rejected",
        at_ms=0,
        by="a@b",
        reason="not better",
        range=runs.snapshot_range(),
    )
    header, line = history_lines([event])
    assert header.split()[0] == "when"
    assert line.startswith("1970-01-01 00:00:00  rejected")
    assert line.endswith("not better")


def test_status_says_aloud_that_the_endpoint_is_not_the_champion() -> None:
    state = {
        "use_case": "c",
        "table": "a.b",
        "champion": "3",
        "endpoint": {"version": "2", "to_snapshot_id": "9"},
        "watermark": None,
        "plan": {"action": "nothing", "reasons": ["no new snapshot"]},
    }
    assert any("WARNING" in line for line in status_lines(state))
    same = {**state, "endpoint": {"version": "3", "to_snapshot_id": "9"}}
    assert not any("WARNING" in line for line in status_lines(same))


def test_runs_say_what_each_came_to() -> None:
    assert run_row("r", runs.promoted()) == {
        "run_id": "r",
        "batch": "published",
        "rows": 10_000,
        "plan": "append-scan",
        "verdict": "promote",
        "rollout": "live",
        "version": "7",
    }
    assert run_row("r", {})["verdict"] is None


def test_columns_are_aligned_and_numbers_stand_right() -> None:
    assert table(("a", "rows"), [("x", 5), ("longer", 12_000)]) == [
        "a         rows",
        "x            5",
        "longer  12,000",
    ]


def test_plants_are_read_as_written() -> None:
    plants = parse_plants(["drift:age=1.5", "nulls:age=0.1", "duplicates=0.02", "label_shift=-1"], ["age"])
    assert plants.drift == {"age": 1.5}
    assert (plants.nulls, plants.duplicates, plants.label_shift) == ({"age": 0.1}, 0.02, -1.0)


class TestServe:
    def registered(self, folder: Path) -> MemoryModels:
        files = {BOOSTER_FILE: b"booster", ENCODING_FILE: b"{}"}
        for name, content in files.items():
            (folder / name).write_bytes(content)
        models = MemoryModels()
        trained = runs.training().model_copy(update={"model_digest": model_digest(files)})
        logged = models.log_training(trained, folder, FeatureEncoding(features=()), None, {})  # type: ignore[arg-type]
        models.register("card_fraud", logged, runs.verdict())
        return models

    def test_the_champion_is_served_and_again_changes_nothing(self, tmp_path: Path) -> None:
        models, deployer = self.registered(tmp_path), MemoryDeployer(lambda _, rows: [0.5] * len(rows))
        models.promote("card_fraud", "1", None)
        first = bring_up(runs.use_case(), models, deployer)
        assert first["endpoint"]["version"] == "1"
        assert first["endpoint"]["to_snapshot_id"] == runs.TO
        assert bring_up(runs.use_case(), models, deployer) == first
        assert bring_up(runs.use_case(), models, deployer, "1") == first

    def test_another_version_than_the_champion_is_refused_and_nothing_is_touched(
        self, tmp_path: Path
    ) -> None:
        models, deployer = self.registered(tmp_path), MemoryDeployer(lambda _, rows: [0.5] * len(rows))
        models.promote("card_fraud", "1", None)
        with pytest.raises(UserError, match="version 7 is not the champion, version 1 is") as refused:
            bring_up(runs.use_case(), models, deployer, "7")
        assert "lakeloop rollback card_fraud --to 7 --reason" in str(refused.value.fix)
        assert deployer.live("card-fraud") is None

    def test_a_version_that_is_no_champion_is_not_served(self, tmp_path: Path) -> None:
        models, deployer = self.registered(tmp_path), MemoryDeployer(lambda _, rows: [0.5] * len(rows))
        with pytest.raises(UserError, match="no champion yet"):
            bring_up(runs.use_case(), models, deployer)
        assert deployer.live("card-fraud") is None


def test_the_next_command_is_one_that_can_be_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "env" / "bin" / "lakeloop"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", [str(script), "run"])
    monkeypatch.setenv("PATH", "/nowhere")
    assert program() == "env/bin/lakeloop"
    monkeypatch.setenv("PATH", str(script.parent))
    assert program() == "lakeloop"
