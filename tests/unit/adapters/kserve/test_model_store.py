"""Models under their content address."""

from __future__ import annotations

from pathlib import Path

import pytest

from lakeloop.adapters.kserve.model_store import ModelStore
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.domain.model_files import BOOSTER_FILE, ENCODING_FILE
from lakeloop.serving.model import load
from lakeloop.serving.model_fetch import fetch
from tests.fakes.models import candidate, model_folder


def test_a_model_is_written_once_and_fetched_as_what_it_is(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model")
    store = ModelStore((tmp_path / "store").as_uri())
    uri = store.keep(model)
    assert uri.endswith(model.identity.model_digest)
    kept = tmp_path / "store" / model.identity.model_digest / BOOSTER_FILE
    written = kept.stat().st_mtime_ns
    assert store.keep(model) == uri
    assert kept.stat().st_mtime_ns == written
    fetch(uri, tmp_path / "fetched", model.identity.canonical_json())
    assert load(tmp_path / "fetched").identity == model.identity


@pytest.mark.parametrize("harm", ["gone", "damaged"])
def test_what_a_cut_upload_or_a_stranger_left_is_mended(tmp_path: Path, harm: str) -> None:
    model = model_folder(tmp_path / "model")
    store = ModelStore((tmp_path / "store").as_uri())
    kept = tmp_path / "store" / model.identity.model_digest / ENCODING_FILE
    store.keep(model)
    kept.unlink() if harm == "gone" else kept.write_text("{}", encoding="utf-8")
    store.keep(model)
    assert kept.read_bytes() == (tmp_path / "model" / ENCODING_FILE).read_bytes()


def test_a_damaged_model_is_refused_by_the_server_that_fetched_it(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model")
    uri = ModelStore((tmp_path / "store").as_uri()).keep(model)
    (tmp_path / "store" / model.identity.model_digest / BOOSTER_FILE).write_bytes(b"other")
    fetch(uri, tmp_path / "fetched", model.identity.canonical_json())
    with pytest.raises(LakeloopError, match="digest"):
        load(tmp_path / "fetched")


def test_changed_bytes_a_missing_place_and_a_storage_that_fails_are_told(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model")
    with pytest.raises(UserError, match="no place for models") as told:
        ModelStore("").keep(model)
    assert told.value.where == "LAKELOOP_MODELS_URI"
    with pytest.raises(LakeloopError, match="digest"):
        ModelStore(tmp_path.as_uri()).keep(candidate(tmp_path / "model", digest="0" * 64))
    (tmp_path / "file").touch()
    with pytest.raises(LakeloopError, match="cannot be stored"):
        ModelStore((tmp_path / "file").as_uri()).keep(model_folder(tmp_path / "model"))
    with pytest.raises(LakeloopError, match="cannot be fetched"):
        fetch((tmp_path / "nothing").as_uri(), tmp_path / "fetched", "")
