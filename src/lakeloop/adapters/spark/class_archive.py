"""An archive of the classes that Spark loads (JEP 350, dynamic AppCDS): a later JVM maps them, parses nothing.

Only a cache: without it, or where it does not fit, the JVM starts as ever. It is made once for a Java, a pyspark
and a set of jars, by a small run of the real steps (`lakeloop.spark_warm_up`). Measured on 2 cores with 10,000
rows: the Spark part of a step takes 7 s instead of 11 s.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from lakeloop.adapters.spark.java import java_home
from lakeloop.domain.base import sha256_hex
from lakeloop.settings import Settings

PREPARE_TIMEOUT_SECONDS = 300
ARCHIVES_KEPT = 6
_DEAD_AFTER_SECONDS = 3600.0
_REPORT_EVERY_SECONDS = 10.0
_SILENT = ("-Xshare:auto", "-Xlog:disable", "-Xlog:all=error:stderr")


def java_options(settings: Settings, jars: list[Path], archive_to: Path | None) -> list[str]:
    """JVM options that use the archive, where there is one, or that write one to `archive_to` at the JVM's end."""
    if archive_to is not None:
        return [*_SILENT, f"-XX:ArchiveClassesAtExit={archive_to}"]
    archive = archive_path(settings, jars)
    try:
        os.utime(archive)  # the time of the last use, by which old ones go
    except FileNotFoundError:
        return ["-Xshare:auto"]
    except OSError:
        pass  # somebody else's cache: used as it is
    return [*_SILENT, f"-XX:SharedArchiveFile={archive}"]


def archive_path(settings: Settings, jars: list[Path]) -> Path:
    """Where the archive of this Java, pyspark and these jars lies."""
    import pyspark

    home = java_home()
    release = home / "release"
    told = release.read_text(encoding="utf-8") if release.is_file() else ""
    identity = [told, str(home), pyspark.__version__, str(Path(pyspark.__file__).parent), *map(str, jars)]
    return settings.jars_folder.parent / "class-archives" / f"{sha256_hex(chr(10).join(identity))[:16]}.jsa"


def prepare(settings: Settings, jars: list[Path], report: Callable[[str], None]) -> bool:
    """Make the archive unless it is there; it appears whole or not at all.

    Returns:
        Whether there is one now. A failed attempt costs nothing but speed, and is told.
    """
    target = archive_path(settings, jars)
    if target.is_file():
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="warm-up-", dir=target.parent) as scratch:
        report("preparing Spark for short starts: one small run, about half a minute")
        made = Path(scratch) / "classes.jsa"
        failure = _warm_up(settings, Path(scratch), made, report)
        if not failure and made.is_file():
            made.replace(target)
            remove_old(target.parent, time.time())
            report(f"Spark's classes are in {target}")
            return True
    report(f"no class archive ({failure or 'Java wrote none'}): Spark works, and starts some seconds slower")
    return False


def remove_old(folder: Path, now: float) -> None:
    """Keep the archives used last, 200 MB each (every environment has its own), and no scratch of dead attempts.

    A JVM that has mapped one keeps it; one that comes too late starts without.

    Args:
        folder: where they lie.
        now: seconds since the epoch.
    """
    used = {path: _modified(path) for path in folder.glob("*.jsa")}
    for path in sorted(used, key=lambda path: used[path], reverse=True)[ARCHIVES_KEPT:]:
        path.unlink(missing_ok=True)
    for path in folder.glob("warm-up-*"):
        if _modified(path) < now - _DEAD_AFTER_SECONDS:
            shutil.rmtree(path, ignore_errors=True)


def _modified(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:  # another process removes old ones, too
        return 0.0


def _warm_up(settings: Settings, scratch: Path, made: Path, report: Callable[[str], None]) -> str:
    """Run the warm-up in a process of its own; what went wrong, or an empty text."""
    log = scratch / "log"
    command = [sys.executable, "-m", "lakeloop.spark_warm_up", str(scratch / "home"), str(made)]
    command.append(str(settings.jars_folder))
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
        for passed in range(int(PREPARE_TIMEOUT_SECONDS / _REPORT_EVERY_SECONDS)):
            try:
                code = process.wait(timeout=_REPORT_EVERY_SECONDS)
            except subprocess.TimeoutExpired:
                report(f"preparing Spark for short starts: {(passed + 1) * _REPORT_EVERY_SECONDS:.0f} s")
            else:
                lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                return "" if code == 0 else (lines[-1] if lines else f"exit code {code}")
        process.kill()
        process.wait()
    return f"no end after {PREPARE_TIMEOUT_SECONDS} s"


def main() -> None:
    """Make the archive that this environment's later Spark sessions start from."""
    from lakeloop.adapters.spark.jars import ensure_jars

    settings = Settings()
    prepare(settings, ensure_jars(settings), lambda text: print(text, flush=True))  # noqa: T201


if __name__ == "__main__":
    main()
