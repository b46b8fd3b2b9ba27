"""An archive of the classes that Spark loads (JEP 350, dynamic AppCDS): a later JVM maps them instead of parsing them.

Only a cache: without it, or when it does not fit, the JVM starts as ever. It is made by `prepare` once for a Java, a
pyspark and a set of jars, by a small run of the real jobs on a throw-away lake.
"""

from __future__ import annotations

from pathlib import Path

from lakeloop.adapters.spark.java import java_home
from lakeloop.domain.base import sha256_hex
from lakeloop.settings import Settings

PREPARE_TIMEOUT_SECONDS = 300


def java_options(settings: Settings, jars: list[Path], archive_to: Path | None) -> list[str]:
    """JVM options that use the archive, where there is one, or that write one to `archive_to`."""
    silent = ["-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr"]
    if archive_to is not None:
        return [*silent, f"-XX:ArchiveClassesAtExit={archive_to}"]
    archive = archive_path(settings, jars)
    return [*silent, f"-XX:SharedArchiveFile={archive}"] if archive.is_file() else ["-Xshare:auto"]


def archive_path(settings: Settings, jars: list[Path]) -> Path:
    """Where the archive of this Java, pyspark and these jars lies."""
    import pyspark

    home = java_home()
    release = home / "release"
    told = release.read_text(encoding="utf-8") if release.is_file() else str(home)
    identity = [told, str(home), pyspark.__version__, str(Path(pyspark.__file__).parent), *map(str, jars)]
    return settings.jars_folder.parent / "class-archives" / f"{sha256_hex(chr(10).join(identity))[:16]}.jsa"
