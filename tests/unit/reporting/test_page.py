"""The page of each kind of ending says what happened, loads nothing, and takes hostile text as text."""

from __future__ import annotations

import re
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest

from lakeloop.reporting import sections
from lakeloop.reporting.documents import read_documents
from lakeloop.reporting.page import Page, render
from lakeloop.reporting.sections import Run
from lakeloop.reporting.status import parse_status
from tests.fakes import documents as made

ENDINGS = {
    "promoted": "SUCCEEDED",
    "first_model": "SUCCEEDED",
    "rejected": "SUCCEEDED",
    "nothing_new": "SUCCEEDED",
    "batch_refused": "FAILED",
    "training_refused": "FAILED",
    "rolled_back": "FAILED",
    "broken_training": "FAILED",
}
VOID = {"meta", "br", "link", "img", "hr", "input"}
HOSTILE = "<script>alert(1)</script><img src=https://evil.example/x onerror=alert(1)>\"'&{{ 7 * 7 }} $x_$"


def page(documents: dict[str, Any], state: str = "SUCCEEDED") -> Page:
    status = parse_status(f'{{"state": "{state}"}}')
    return render(Run("run-1", made.use_case(), read_documents(documents), status), "2026-03-01 10:11:02 UTC")


@cache
def ended(ending: str) -> Page:
    return page(getattr(made, ending)(), ENDINGS[ending])


class Reader(HTMLParser):
    """Texts, ids and attributes; every element has to be closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())


@pytest.mark.parametrize(
    ("ending", "kind", "headline"),
    [
        (
            "promoted",
            "live",
            "Version 7 is live: promoted over version 6, verified at http://127.0.0.1:18083.",
        ),
        ("first_model", "live", "Version 1 is live: the first model"),
        ("rejected", "rejected", "Rejected by the gate; version 6 stays."),
        ("nothing_new", "nothing", "Nothing new to train on; the live model is unchanged."),
        ("batch_refused", "batch_refused", "Batch refused: range(age) is 16 to 241, expected 16 to 120."),
        ("training_refused", "training_refused", f"Refused to train: snapshot {made.TO} is an overwrite"),
        (
            "rolled_back",
            "rollout_failed",
            "Version 7 passed the gate but was rolled back; version 6 still serves.",
        ),
        ("broken_training", "failed", "Failed at step train_model."),
    ],
)
def test_each_ending_has_its_headline(ending: str, kind: str, headline: str) -> None:
    result = ended(ending)
    assert result.outcome.kind == kind
    assert result.outcome.headline.startswith(headline)
    assert result.errors == ()
    assert headline in Reader(result.html).text


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_page_is_well_formed_and_loads_nothing(ending: str) -> None:
    html = ended(ending).html
    reader = Reader(html)
    for tag, attributes in reader.elements:
        assert tag not in {"script", "iframe", "object", "link"}
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "#").startswith("#")
    assert all(target.startswith("#") for target in re.findall(r"url\(\s*['\"]?([^)'\"]*)", html))
    assert "@import" not in html
    ids = [attributes["id"] for _, attributes in reader.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_a_promoted_run_ties_the_answer_to_its_snapshots() -> None:
    text = Reader(ended("promoted").html).text
    chain = (
        "card-fraud",
        "card_fraud version 7",
        made.training().mlflow_run_id,
        made.training().booster_sha256,
        f"{made.training_set().feature_table} at snapshot {made.FEATURE_SNAPSHOT}",
        f"snapshot {made.TO}",
        made.BATCH_ID,
        "part-1.parquet",
    )
    start = text.index("From the answer back to the snapshots", text.index("The models side by side", 2000))
    places = [text.index(link, start) for link in chain]
    assert places == sorted(places)
    assert f"({made.FROM}, {made.TO}]" in text
    assert "curl -s http://127.0.0.1:18083/predict" in text
    assert "0.8712 0.8489\u20130.8920" in text  # the challenger's metric with its interval


def test_plots_show_both_models_and_follow_the_pages_colours() -> None:
    html = ended("promoted").html
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    labels = [label for label in re.findall(r'<svg[^>]*aria-label="([^"]*)"', html) if label]
    assert len(labels) == len(drawings)
    for kind in ("roc", "pr", "calibration", "scores"):
        drawing = next(d for d in drawings if f"plot-{kind}" in d)
        assert "champion v6" in drawing
        assert "var(--challenger)" in drawing
        assert "var(--champion)" in drawing
    colours = {c for d in drawings for c in re.findall(r"(?:fill|stroke): (#[0-9a-f]+)", d)}
    assert colours == set()


def test_the_batch_is_shown_column_by_column() -> None:
    html = ended("batch_refused").html
    text = Reader(html).text
    assert "label fraud_trx is positive in 7.12 % of 10,000 labelled rows" in text
    assert "POS 61 %, online 30 %, ATM 9 %" in text
    assert "Histogram of transaction_amount, from" in html


def test_hostile_text_stays_text() -> None:
    documents = made.promoted() | made.rejected() | {"steps": HOSTILE}
    documents["batch"]["note"] = HOSTILE
    documents["verdict"]["reasons"] = [HOSTILE]
    documents["evaluation"]["shap_importance"] = {HOSTILE: 0.5}
    documents["profile"]["columns"][1]["top"][0]["value"] = HOSTILE[:20]
    documents["profile"]["columns"][2]["name"] = HOSTILE
    documents["rollout"]["sample_request"] = {"rows": [{HOSTILE: HOSTILE}]}
    result = page(documents)
    reader = Reader(result.html)
    assert result.errors == ()
    assert not [tag for tag, _ in reader.elements if tag in {"script", "img"}]
    assert HOSTILE in reader.text


def test_a_broken_section_says_so_and_costs_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Run) -> None:
        raise ZeroDivisionError("<no rows>")

    views = tuple((n, t, broken if n == "plots" else v) for n, t, v in sections.SECTIONS)
    monkeypatch.setattr("lakeloop.reporting.page.SECTIONS", views)
    result = page(made.promoted())
    text = Reader(result.html).text
    assert result.errors == ("plots: ZeroDivisionError: <no rows>",)
    assert "This section could not be made: ZeroDivisionError: <no rows>" in text
    assert "Version 7 is live" in text
    assert made.BATCH_ID in text


def test_a_document_of_another_version_is_named() -> None:
    documents = made.promoted() | {"verdict": {"decision": "perhaps"}}
    text = Reader(page(documents).html).text
    assert "The document verdict of this run is not what this version of lakeloop writes: decision" in text
    assert made.TO in text


@pytest.mark.parametrize("state", ["SUCCEEDED", "FAILED", "CANCELLED", ""])
def test_a_run_without_documents_has_a_page(state: str) -> None:
    result = page({}, state)
    assert result.errors == ()
    assert result.outcome.kind == {"FAILED": "failed", "CANCELLED": "cancelled"}.get(state, "unknown")
    assert "Look further" in Reader(result.html).text


def test_any_one_document_may_be_missing() -> None:
    documents = made.promoted()
    documents["evaluation"] = {"shap_importance": {"age": 0.5}}
    documents["training"]["history"] = {}
    for name in documents:
        kept = {other: value for other, value in documents.items() if other != name}
        assert page(kept).errors == (), name


def test_a_page_is_small() -> None:
    assert len(ended("promoted").html.encode()) < 300_000
