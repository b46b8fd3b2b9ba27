"""The report of a change: what it measures, what it says of it, and how sure it is."""

from __future__ import annotations

import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from lakeloop.domain.model_report import Candidate, ModelReport, Report, confusion, model_report
from lakeloop.domain.training import TrainedModel
from lakeloop.reporting.model_page import html, markdown, report_plots
from lakeloop.training.curves import evaluation
from tests.fakes.world import USE_CASE, World

RNG = np.random.default_rng(7)
LABELS = (RNG.random(2000) < 0.3).astype(float)
GOOD = np.clip(LABELS * 0.35 + RNG.random(2000) * 0.6, 0, 1)
POOR = np.clip(LABELS * 0.05 + RNG.random(2000) * 0.9, 0, 1)


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    return World(tmp_path).train(1)[0]


def made(trained: TrainedModel, model: np.ndarray, other: np.ndarray | None, note: str = "") -> Report:
    now = Candidate(name="this model", version=None, trained=trained, features=("amount", "new|one"))
    then = Candidate(name="main (v3)", version="3", trained=trained, features=("amount", "old"))
    report = model_report(
        USE_CASE,
        LABELS,
        (now, model),
        None if other is None else (then, other),
        decision="reject",
        reasons=("roc_auc too low",),
        note=note,
    )
    models = {"challenger": model} | ({} if other is None else {"main (v3)": other})
    return Report(report=report, evaluation=evaluation(LABELS, models, {"amount": 1.5}, 100))


def test_decisions_are_counted_at_the_threshold_itself() -> None:
    found = confusion([1, 1, 0, 0, 1], [0.9, 0.5, 0.5, 0.1, 0.4], 0.5)
    assert (found.true_positives, found.false_positives) == (2, 1)
    assert (found.false_negatives, found.true_negatives) == (1, 1)
    assert (found.precision, found.recall, found.accuracy) == (2 / 3, 2 / 3, 3 / 5)
    assert confusion([0], [0.1], 0.5).precision is None


def test_it_calls_a_model_better_or_worse_only_where_the_interval_does(trained: TrainedModel) -> None:
    assert "better than main (v3)" in markdown(made(trained, GOOD, POOR), {})
    assert "worse than main (v3)" in markdown(made(trained, POOR, GOOD), {})
    assert "not told apart from main (v3)" in markdown(made(trained, GOOD, GOOD), {})


def test_the_markdown_has_what_was_measured(trained: TrainedModel) -> None:
    report = made(trained, GOOD, POOR, note="Mind the gap.")
    text = markdown(report, {name: f"plots/{name}.png" for name in report_plots(report)})
    assert text.startswith("<!-- lakeloop report: fraud -->\n")
    assert "> Mind the gap." in text
    assert "**reject** (not registered): roc_auc too low" in text
    row = next(line for line in text.splitlines() if line.startswith("| ROC AUC"))
    value = report.report.difference["roc_auc"].value
    assert f"+{value:.4f}" in row
    assert row.count("|") == 6
    counted = report.report.model.confusion
    assert f"| positive, called positive | {counted.true_positives:,} |" in text
    assert "New: `new|one`. Gone: `old`." in text
    assert set(re.findall(r"\]\((plots/.*?)\)", text)) == {
        f"plots/{n}.png" for n in ("roc", "pr", "calibration", "scores", "shap")
    }
    assert trained.lineage.run_key in text


def test_without_another_model_there_is_no_difference(trained: TrainedModel) -> None:
    text = markdown(made(trained, GOOD, None, note="There was no other model."), {})
    assert "difference" not in text
    assert "> There was no other model." in text
    assert "main" not in text


def test_the_page_loads_nothing_and_holds_its_plots(trained: TrainedModel) -> None:
    page = html(made(trained, GOOD, POOR))
    assert page.count("<svg") == 5
    assert not re.search(r'(src|href)="(?!#)', page)
    assert "<script" not in page
    assert "new|one" in page


def test_a_plot_is_the_same_picture_each_time_and_in_colour(trained: TrainedModel) -> None:
    first, second = (report_plots(made(trained, GOOD, POOR))["roc"].drawing.png() for _ in range(2))
    assert first == second
    assert first.startswith(b"\x89PNG")
    from matplotlib.image import imread

    pixels = (imread(BytesIO(first))[:, :, :3] * 255).round().astype(int)
    colours = {tuple(c) for c in pixels.reshape(-1, 3).tolist()}
    assert (0x12, 0x65, 0xC4) in colours
    assert (0xB0, 0x5C, 0x00) in colours
    assert not {(0, 0, n) for n in range(0xF1, 0xF8)} & colours


def test_the_document_can_be_read_again(trained: TrainedModel) -> None:
    report = made(trained, GOOD, POOR).report
    assert ModelReport.model_validate_json(report.model_dump_json()) == report
