"""Spark sessions from a data connection of a Cloudera AI workbench, with the catalogs and jars that it configures."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lakeloop.domain.errors import LakeloopError, UserError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_NEEDED = {"spark.sql.session.timeZone": "UTC", "spark.sql.ansi.enabled": "true"}
"""What lakeloop's SQL means depends on these; both can be set in a running session."""


@contextmanager
def connected_session(name: str) -> Iterator[SparkSession]:
    """The connection's session, stopped at the end.

    Args:
        name: of the data connection.

    Raises:
        UserError: this is no workbench, or it has no such connection.
        LakeloopError: Spark did not start.
    """
    try:
        import cml.data_v1 as data
    except ImportError as error:
        raise UserError(
            "cml.data_v1 is not here: data connections exist only inside a Cloudera AI workbench",
            where=f"LAKELOOP_SPARK_CONNECTION={name}",
            fix="run it in a session or job with Spark enabled, or unset the variable",
        ) from error
    try:
        session = data.get_connection(name).get_spark_session()
    except Exception as error:
        raise LakeloopError(
            f"no Spark session: {type(error).__name__}: {error}",
            where=f"data connection {name}",
            fix="see its name under Project Settings > Data Connections, and that the job enables Spark",
        ) from error
    try:
        for key, value in _NEEDED.items():
            session.conf.set(key, value)
        yield session
    finally:
        session.stop()
