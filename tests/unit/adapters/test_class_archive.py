"""Old class archives go when a new one is made."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lakeloop.adapters.spark import class_archive
from lakeloop.adapters.spark.class_archive import ARCHIVES_KEPT, archive_path, java_options, remove_old
from lakeloop.settings import Settings

NOW = 1_800_000_000.0


def archive(folder: Path, name: str, used_at: float) -> Path:
    path = folder / f"{name}.jsa"
    path.write_bytes(b"classes")
    path.chmod(0o444)  # as the JVM leaves it
    os.utime(path, (used_at, used_at))
    return path


def test_the_archives_used_last_stay(tmp_path: Path) -> None:
    made = [archive(tmp_path, f"a{i}", NOW - i * 60) for i in range(ARCHIVES_KEPT + 3)]
    remove_old(tmp_path, NOW)
    assert sorted(tmp_path.iterdir()) == sorted(made[:ARCHIVES_KEPT])


def test_scratch_of_a_dead_attempt_goes_and_that_of_a_living_one_stays(tmp_path: Path) -> None:
    dead, living = tmp_path / "warm-up-dead", tmp_path / "warm-up-living"
    for folder, since in ((dead, 7200), (living, 100)):
        folder.mkdir()
        (folder / "classes.jsa").write_bytes(b"half")
        os.utime(folder, (NOW - since, NOW - since))
    remove_old(tmp_path, NOW)
    assert not dead.exists()
    assert (living / "classes.jsa").read_bytes() == b"half"


def test_a_use_is_what_keeps_an_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(class_archive, "java_home", lambda: tmp_path / "java")
    settings = Settings(spark_jars_folder=tmp_path / "jars")
    path = archive_path(settings, [])
    assert java_options(settings, [], None) == ["-Xshare:auto"]
    path.parent.mkdir(parents=True)
    archive(path.parent, path.stem, NOW - 900_000_000)
    for i in range(ARCHIVES_KEPT):
        archive(path.parent, f"b{i}", NOW - 200_000_000 - i)
    assert f"-XX:SharedArchiveFile={path}" in java_options(settings, [], None)
    remove_old(path.parent, NOW)
    assert path.is_file()
    assert len(list(path.parent.iterdir())) == ARCHIVES_KEPT
