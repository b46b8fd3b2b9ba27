"""Both APIs do what their OpenAPI documents say, for whatever schemathesis makes of them (bounded)."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any
from unittest import SkipTest

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.specs.openapi.checks import positive_data_acceptance

from lakeloop.adapters.sqlite.online_store import SqliteOnlineStore
from lakeloop.domain.online import EntityFeatures, OnlineVersion
from lakeloop.serving.api import Guards
from lakeloop.serving.features.app import build_app as build_features
from lakeloop.serving.http import Tokens
from lakeloop.serving.model import load
from lakeloop.serving.predictor.app import build_app as build_predictor
from lakeloop.serving.predictor.lookup import FeatureLookup
from tests.fakes.models import model_folder

EXAMPLES = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
TOKEN = {"Authorization": "Bearer secret"}


def store(folder: Path) -> SqliteOnlineStore:
    made = SqliteOnlineStore(folder / "online.db")
    version = OnlineVersion(
        use_case="fraud",
        feature_hash="0123456789abcdef",
        feature_table="bank.t__fraud_features",
        feature_snapshot_id="1",
        source_snapshot_id="2",
        computed_at="2026-01-01T00:00:00.000+00:00",
        entity=("id",),
        features=("amount", "age", "kind"),
    )
    features = EntityFeatures(event_time=None, features={"amount": 0.1, "age": 3.0, "kind": "a"})
    made.publish(version, [("0", features), ("1", features)])
    return made


@pytest.fixture(scope="module")
def predictor_api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("predictor")
    model = load(Path(model_folder(folder / "m").model_folder))
    app = build_predictor(
        model, guards=Guards(Tokens(["secret"])), lookup=FeatureLookup(model, store(folder))
    )
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.fixture(scope="module")
def features_api(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("features")
    app = build_features("fraud", store(folder), Guards(Tokens(["secret"])))
    return schemathesis.openapi.from_asgi("/openapi.json", app)


@pytest.mark.parametrize("api", ["predictor_api", "features_api"])
def test_an_api_does_what_its_document_says(api: str, request: pytest.FixtureRequest) -> None:
    schema = request.getfixturevalue(api)
    operations = [found.ok() for found in schema.get_all_operations()]
    assert len(operations) >= 5
    for operation in operations:
        for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE):

            @EXAMPLES
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                # JSON schema cannot say that a tensor's shape fits its data: such a request is refused all the same.
                excluded = [positive_data_acceptance] if "/v2/" in case.path else []
                case.call_and_validate(headers=TOKEN, excluded_checks=excluded)

            with contextlib.suppress(Unsatisfiable, SkipTest):
                check()
