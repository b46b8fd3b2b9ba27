"""Java, jars and session properties: everything that is decided before a JVM starts."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from lakeloop.adapters.spark import java
from lakeloop.adapters.spark.batch_files import spark_path
from lakeloop.adapters.spark.jars import LOCK, ensure_jars, locked, verify
from lakeloop.adapters.spark.session import SMALL_ROWS, local_cores, spark_properties
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.settings import Settings


def fake_java(folder: Path, version: str) -> Path:
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "java").write_text("")
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\n')
    return folder


def test_the_newest_suitable_java_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    homes = {v: fake_java(tmp_path / v, v) for v in ("1.8.0_392", "17.0.15", "21.0.2", "25.0.3")}
    monkeypatch.setattr(java, "_PATTERNS", (f"{tmp_path}/*",))
    assert java.java_home({}) == homes["21.0.2"]
    assert java.java_home({"JAVA_HOME": str(homes["17.0.15"])}) == homes["17.0.15"]
    assert java.java_home({"JAVA_HOME": str(homes["1.8.0_392"])}) == homes["21.0.2"]


def test_no_java_names_the_line_that_installs_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_java(tmp_path / "old", "11.0.20")
    monkeypatch.setattr(java, "_PATTERNS", (f"{tmp_path}/*",))
    with pytest.raises(UserError) as caught:
        java.java_home({})
    assert "found 11 in" in str(caught.value)
    assert "install" in str(caught.value)
    assert caught.value.exit_code == 2
    assert java.install_command("darwin") == "brew install openjdk@17"
    assert "openjdk-17-jre-headless" in java.install_command("linux")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in locked():
        (jars / name).write_bytes(b"jar")
    return Settings(home=tmp_path / "home", spark_jars_folder=jars, spark_master="local[3]")


def test_the_lock_names_the_default_packages() -> None:
    names = " ".join(locked())
    for package in Settings.model_fields["spark_packages"].default:
        _, artifact, version = package.split(":")
        assert f"{artifact}-{version}.jar" in names
    assert all(len(digest) == 64 for digest in locked().values()), LOCK


def test_present_jars_need_no_network_and_other_bytes_are_told(settings: Settings) -> None:
    jars = ensure_jars(settings)
    assert [jar.name for jar in jars] == list(locked())
    with pytest.raises(LakeloopError, match="the lock says"):
        verify(jars, locked())
    verify(jars, {jar.name: hashlib.sha256(b"jar").hexdigest() for jar in jars})


def test_properties_follow_the_size_of_the_job(settings: Settings) -> None:
    small, large, unknown = (spark_properties(settings, rows, {}) for rows in (10_000, SMALL_ROWS + 1, None))
    assert "TieredStopAtLevel=1" in small["spark.driver.extraJavaOptions"]
    assert "TieredStopAtLevel" not in large["spark.driver.extraJavaOptions"]
    assert unknown == large
    assert small["spark.sql.shuffle.partitions"] == "3"
    assert large["spark.sql.adaptive.enabled"] == "true"
    assert small["spark.sql.session.timeZone"] == "UTC"
    assert "spark.jars" not in small
    assert small["spark.driver.extraClassPath"].split(":") == [str(j) for j in ensure_jars(settings)]


def test_what_the_settings_say_wins(settings: Settings) -> None:
    cluster = settings.model_copy(
        update={
            "spark_master": "spark://elsewhere:7077",
            "spark_conf": {"spark.driver.memory": "9g", "spark.ui.enabled": "true"},
            "spark_catalog": {"type": "rest", "uri": "http://catalog", "token": "t"},
        }
    )
    properties = spark_properties(cluster, 10, {"spark.driver.memory": "1g"})
    assert properties["spark.jars"].count(".jar") == len(locked())
    assert (properties["spark.driver.memory"], properties["spark.ui.enabled"]) == ("9g", "true")
    catalog = {k: v for k, v in properties.items() if k.startswith("spark.sql.catalog.lake.")}
    assert catalog == {f"spark.sql.catalog.lake.{k}": v for k, v in cluster.spark_catalog.items()}
    assert "spark.driver.host" not in properties


@pytest.mark.parametrize(("master", "cores"), [("local", 1), ("local[4]", 4), ("local[2,8]", 2)])
def test_cores_of_a_local_master(master: str, cores: int) -> None:
    assert local_cores(master) == cores


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///a/b%20c/d.csv", "file:///a/b c/d.csv"),
        ("/a/[1]*.csv", "file:///a/\\[1\\]\\*.csv"),
        ("s3://bucket/a{1}.csv", "s3a://bucket/a\\{1\\}.csv"),
    ],
)
def test_paths_are_never_globs_to_spark(uri: str, path: str) -> None:
    assert spark_path(uri) == path


def test_the_python_daemon_is_ours_only_where_spark_is_the_one_beside_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("SPARK_HOME", "PYSPARK_PYTHON"):
        monkeypatch.delenv(name, raising=False)
    assert "spark.python.daemon.module" in spark_properties(settings, 10, {})
    for name in ("SPARK_HOME", "PYSPARK_PYTHON"):
        monkeypatch.setenv(name, "/opt/another")
        assert "spark.python.daemon.module" not in spark_properties(settings, 10, {})
        monkeypatch.delenv(name)
