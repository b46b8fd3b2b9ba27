"""Spark's extra jars: fetched once by Spark's own Ivy, checked against a committed lock, then never a network again.

`python -m lakeloop.adapters.spark.jars` fetches them. The lock is in the format of `sha256sum -c`.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from lakeloop.adapters.spark.java import java_home
from lakeloop.domain.base import sha256_hex
from lakeloop.domain.errors import LakeloopError, UserError
from lakeloop.settings import Settings

LOCK = Path(__file__).with_name("jars.lock")
FETCH_TIMEOUT_SECONDS = 900
_REPORT_EVERY_SECONDS = 2.0
_IVY_KEYS = ("spark.jars.ivySettings", "spark.jars.repositories", "spark.jars.excludes")
Report = Callable[[str], None]


def ensure_jars(settings: Settings, report: Report | None = None) -> list[Path]:
    """Paths of the jars of `settings.spark_packages`, fetched when they are not there yet.

    The default packages lie in `settings.jars_folder`; only bytes that match the lock ever get there, so a start
    does not read them again (0.2 s). Others lie in a folder of their own below it, named by the packages.

    Raises:
        UserError: no Java, or the packages cannot be fetched.
        LakeloopError: a jar is not the one that the lock names.
    """
    present = _present(settings)
    if present is not None:
        return present
    _fetch(settings, report or _print)
    fetched = _present(settings)
    if fetched is None:
        raise LakeloopError(
            "Ivy answered with other jars than the lock names",
            where=str(_folder(settings)),
            fix="remove the folder and fetch again; after a change of spark_packages, write a new jars.lock",
        )
    return fetched


def locked(lock: Path = LOCK) -> dict[str, str]:
    """File name -> sha256 of every locked jar."""
    lines = lock.read_text(encoding="utf-8").splitlines()
    return {name: digest for digest, name in (line.split(maxsplit=1) for line in lines if line.strip())}


def verify(jars: Sequence[Path], expected: dict[str, str]) -> None:
    """Compare each jar's bytes with the lock.

    Raises:
        LakeloopError: one differs; it is named.
    """
    for jar in jars:
        with jar.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if digest != expected[jar.name]:
            raise LakeloopError(
                f"sha256 is {digest}, the lock says {expected[jar.name]}",
                where=str(jar),
                fix="remove the file and run `python -m lakeloop.adapters.spark.jars`",
            )


def _is_default(settings: Settings) -> bool:
    return bool(settings.spark_packages == Settings.model_fields["spark_packages"].default)


def _folder(settings: Settings) -> Path:
    folder = settings.jars_folder
    if _is_default(settings):
        return folder
    return folder / sha256_hex("\n".join(settings.spark_packages))[:16]


def _present(settings: Settings) -> list[Path] | None:
    if not settings.spark_packages:
        return []
    folder = _folder(settings)
    if not _is_default(settings):
        return sorted(folder.glob("*.jar")) or None
    expected = locked()
    jars = [folder / name for name in expected]
    return jars if all(jar.is_file() for jar in jars) else None


def _fetch(settings: Settings, report: Report) -> None:
    """Into a temporary folder beside the final one, moved at the end: a killed download leaves nothing half."""
    folder = _folder(settings)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ivy-", dir=folder.parent) as scratch:
        _resolve(settings, Path(scratch), report)
        jars = sorted(Path(scratch, "jars").glob("*.jar"))
        if _is_default(settings):
            verify([jar for jar in jars if jar.name in locked()], locked())
            folder.mkdir(exist_ok=True)
            for jar in jars:
                jar.replace(folder / jar.name)
        elif not folder.exists():
            Path(scratch, "jars").replace(folder)
    report(f"{len(jars)} jars are in {folder}")


def _resolve(settings: Settings, scratch: Path, report: Report) -> None:
    report(f"fetching Spark packages {', '.join(settings.spark_packages)}")
    log = scratch / "ivy.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(settings, scratch), stdout=output, stderr=subprocess.STDOUT, env=_environment()
        )
        try:
            _watch(process, scratch, report)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if process.returncode != 0:
        raise UserError(
            f"the packages could not be fetched: {_failure(log.read_text(encoding='utf-8', errors='replace'))}",
            where="LAKELOOP_SPARK_PACKAGES",
            fix="check the network (or spark.jars.ivySettings in LAKELOOP_SPARK_CONF) and run it again; "
            "or copy the jars into LAKELOOP_SPARK_JARS_FOLDER",
        )


def _command(settings: Settings, scratch: Path) -> list[str]:
    """spark-submit of an empty program: resolution is all that it does."""
    import pyspark

    program = scratch / "nothing.py"
    program.write_text("", encoding="utf-8")
    conf = {"spark.jars.ivy": str(scratch), "spark.ui.enabled": "false"}
    conf |= {key: settings.spark_conf[key] for key in _IVY_KEYS if key in settings.spark_conf}
    options = [part for key, value in conf.items() for part in ("--conf", f"{key}={value}")]
    submit = Path(pyspark.__file__).parent / "bin" / "spark-submit"
    packages = ",".join(settings.spark_packages)
    return [str(submit), "--master", "local[1]", *options, "--packages", packages, str(program)]


def _environment() -> dict[str, str]:
    import pyspark

    home = str(Path(pyspark.__file__).parent)
    return {
        **os.environ,
        "JAVA_HOME": str(java_home()),
        "SPARK_HOME": home,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_DRIVER_PYTHON": sys.executable,
    }


def _watch(process: subprocess.Popen[bytes], scratch: Path, report: Report) -> None:
    """Tell the megabytes that have arrived until Ivy ends.

    Raises:
        UserError: it took longer than the limit.
    """
    deadline = time.monotonic() + FETCH_TIMEOUT_SECONDS
    told = -1
    while True:
        try:
            process.wait(timeout=_REPORT_EVERY_SECONDS)
        except subprocess.TimeoutExpired:
            megabytes = sum(f.stat().st_size for f in scratch.rglob("*.jar*") if f.is_file()) // 2**20
            if megabytes != told:
                report(f"fetching Spark packages: {megabytes} MB")
            told = megabytes
        else:
            return
        if time.monotonic() > deadline:
            raise UserError(
                f"no end after {FETCH_TIMEOUT_SECONDS} s", where="Spark packages", fix="check the network"
            )


def _failure(log: str) -> str:
    """The lines of Ivy's log that say why."""
    telling = re.findall(r"^.*(?:unresolved dependency|not found|Exception|UNRESOLVED).*$", log, re.MULTILINE)
    return " | ".join(dict.fromkeys(line.strip() for line in telling[:4])) or log[-400:].strip()


def _print(text: str) -> None:
    print(f"::progress::{text}", flush=True)  # noqa: T201 - runners show it beside the step


def main() -> None:
    """Fetch the jars."""
    settings = Settings()
    if shutil.which("bash") is None:
        raise UserError("Spark's start script needs bash", where="PATH", fix="install bash")
    jars = ensure_jars(settings)
    if _is_default(settings):
        verify(jars, locked())


if __name__ == "__main__":
    try:
        main()
    except LakeloopError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        sys.exit(error.exit_code)
