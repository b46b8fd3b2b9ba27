"""A finished training may be found again only by the code that made it."""

import importlib
import shutil
from pathlib import Path

import pytest

from lakeloop.runtime.code_digest import image_digest
from lakeloop.settings import Settings


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "one" / "pumping"
    (folder / "inner").mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    (folder / "inner" / "rate.py").write_text("RATE = 1")
    monkeypatch.syspath_prepend(str(folder.parent))
    importlib.invalidate_caches()
    return folder


def test_an_image_speaks_for_the_code(package: Path) -> None:
    assert image_digest(Settings(image_digest="sha256:1"), "pumping") == "sha256:1"


def test_without_an_image_any_changed_source_is_another_code(package: Path) -> None:
    before = image_digest(Settings(), "pumping")
    assert before == image_digest(Settings(), "pumping")
    (package / "inner" / "rate.py").write_text("RATE = 2")
    assert image_digest(Settings(), "pumping") != before
    assert before.startswith("embedded:")


def test_where_the_code_lies_does_not_matter(package: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = image_digest(Settings(), "pumping")
    elsewhere = package.parents[1] / "two"
    shutil.move(package, elsewhere / "pumping")
    monkeypatch.syspath_prepend(str(elsewhere))
    importlib.invalidate_caches()
    assert image_digest(Settings(), "pumping") == before


def test_the_steps_own_code_counts() -> None:
    assert image_digest(Settings(), "lakeloop") != image_digest(
        Settings(), "lakeloop", "components.train_model"
    )
