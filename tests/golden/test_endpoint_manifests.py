"""What a cluster is asked for to serve a model, compared as data; `make golden` rewrites it."""

from __future__ import annotations

import json

import pytest

from scripts.endpoint_examples import manifests
from scripts.golden import MANIFESTS


@pytest.mark.parametrize("name", sorted(manifests()))
def test_committed_manifest_is_what_its_builder_makes(name: str) -> None:
    committed = json.loads((MANIFESTS / f"{name}.json").read_text(encoding="utf-8"))
    assert committed == manifests()[name], "run `make golden`"


def test_no_manifest_is_left_over() -> None:
    assert {path.stem for path in MANIFESTS.glob("*.json")} == set(manifests())
