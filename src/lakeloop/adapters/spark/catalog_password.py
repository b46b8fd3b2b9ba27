"""The password of a PostgreSQL catalog, on its way from PGPASSWORD to Java: by libpq's password file.

PGPASSWORD is what pyiceberg's driver reads. Java's (pgjdbc) reads a password file, so the password is never a Spark
property, which logs, user interfaces and tasks would carry.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from collections.abc import MutableMapping
from functools import cache
from pathlib import Path

from lakeloop.settings import Settings

_URI_PREFIX, _DECLARED = "jdbc:postgresql:", "jdbc.password"


def provide_catalog_password(settings: Settings, environment: MutableMapping[str, str] = os.environ) -> None:
    """Point PGPASSFILE to a file with PGPASSWORD, before the JVM starts; nothing where it is not needed."""
    catalog = settings.spark_catalog
    password = environment.get("PGPASSWORD", "")
    if not password or environment.get("PGPASSFILE") or _DECLARED in catalog:
        return
    if catalog.get("uri", "").startswith(_URI_PREFIX):
        environment["PGPASSFILE"] = str(_password_file(password))


@cache
def _password_file(password: str) -> Path:
    """One file for the whole process: its JVM outlives a session."""
    folder = Path(tempfile.mkdtemp(prefix="lakeloop-pg-"))  # 0700
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    file = folder / "pgpass"
    file.touch(mode=0o600)
    file.write_text(line_of(password), encoding="utf-8")
    return file


def line_of(password: str) -> str:
    """For any host, port, database and user (format: PostgreSQL, "The Password File")."""
    escaped = password.replace("\\", "\\\\").replace(":", "\\:")
    return f"*:*:*:*:{escaped}\n"
