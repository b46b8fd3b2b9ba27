"""A Spark session on the configured Iceberg catalog, started as fast as Spark allows, stopped at the end."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from lakeloop.adapters.spark import class_archive
from lakeloop.adapters.spark.catalog_password import provide_catalog_password
from lakeloop.adapters.spark.data_connection import connected_session
from lakeloop.adapters.spark.event_log import event_log, redaction
from lakeloop.adapters.spark.failures import first_line, spark_failures
from lakeloop.adapters.spark.jars import ensure_jars
from lakeloop.adapters.spark.java import java_home
from lakeloop.adapters.spark.on_kubernetes.cluster import attach, cluster, is_kubernetes
from lakeloop.domain.errors import LakeloopError
from lakeloop.domain.spark_resources import SparkResources
from lakeloop.settings import Settings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

SMALL_ROWS = 300_000
_LOG_CONFIGURATION = Path(__file__).with_name("log4j2.properties")
_LOUD_LOGGERS = (
    "SQLQueryContextLogger",
    "DataFrameQueryContextLogger",
)  # every failure as JSON with its Java stack
_CATALOG = "org.apache.iceberg.spark.SparkCatalog"
_EXTENSIONS = "org.apache.iceberg.spark.extensions.IcebergSparkSessionExtensions"


@contextmanager
def spark_session(  # noqa: PLR0913 - each is a fact of the job
    settings: Settings,
    app_name: str,
    rows: int | None = None,
    *,
    resources: SparkResources | None = None,
    tasks: int | None = None,
    archive_to: Path | None = None,
) -> Iterator[SparkSession]:
    """A session that is stopped at the end; its JVM ends with this process.

    Args:
        settings: master, catalog and Spark properties; `spark_conf` wins over every default here.
        app_name: shown by a cluster.
        rows: how many rows the job handles, where known. Up to `SMALL_ROWS` a local JVM compiles with C1 only: the
            job is over before C2's code would pay for itself. Larger or unknown: the JVM's own choice.
        resources: executors on Kubernetes; a local master does not look at it.
        tasks: how many tasks must run at once (barrier stages); on Kubernetes the session starts with executors for
            them. None: the number of executors follows the load.
        archive_to: record the loaded classes into this file when the JVM ends.

    Raises:
        UserError: no suitable Java, the jars cannot be fetched, or `tasks` do not fit `resources`.
        LakeloopError: Spark did not start; on Kubernetes also: too few executors came, or too many were lost.
    """
    with ExitStack() as stack:
        if settings.spark_connection:
            yield stack.enter_context(connected_session(settings.spark_connection))
            return
        if is_submitted():
            yield stack.enter_context(_started(settings, app_name, submitted_properties(settings)))
            return
        extra = stack.enter_context(event_log(settings.spark_event_log_uri))
        if not is_kubernetes(settings.spark_master):
            properties = spark_properties(settings, rows, extra, archive_to)
            yield stack.enter_context(_started(settings, app_name, properties))
            return
        place = stack.enter_context(cluster(settings, app_name, resources or SparkResources(), tasks))
        properties = spark_properties(settings, rows, extra | place.properties, archive_to)
        session = stack.enter_context(_started(settings, app_name, properties))
        attach(place.watch, session)
        yield session


@contextmanager
def _started(settings: Settings, app_name: str, properties: Mapping[str, str]) -> Iterator[SparkSession]:
    _prepare_environment(settings)
    provide_catalog_password(settings)
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(app_name)
    for key, value in properties.items():
        builder = builder.config(key, value)
    try:
        session = builder.getOrCreate()
    except spark_failures() as error:
        raise LakeloopError(
            f"Spark did not start: {first_line(error)}",
            where=settings.spark_master,
            fix="see the lines above",
        ) from error
    try:
        yield session
    finally:
        _stop(session)


def _stop(session: SparkSession) -> None:
    """A JVM that is gone already needs no stop, and must not hide why it went."""
    from py4j.protocol import Py4JError  # type: ignore[import-untyped]

    try:
        session.stop()
    except (Py4JError, OSError) as error:
        print(f"warning: Spark had ended before: {first_line(error)}", file=sys.stderr, flush=True)  # noqa: T201


def spark_properties(
    settings: Settings, rows: int | None, extra: Mapping[str, str], archive_to: Path | None = None
) -> dict[str, str]:
    """Every property of the session; what the settings say comes last and wins."""
    jars = ensure_jars(settings)
    return {
        "spark.master": settings.spark_master,
        **_quiet(settings),
        **(_local(settings, rows) if is_local(settings.spark_master) else _remote(settings, jars)),
        **extra,
        "spark.driver.extraClassPath": os.pathsep.join(map(str, jars)),
        "spark.driver.extraJavaOptions": " ".join(_java_options(settings, jars, rows, archive_to)),
        **_catalog(settings),
        **settings.spark_conf,
    }


def submitted_properties(settings: Settings) -> dict[str, str]:
    """Under spark-submit (the Spark operator's way) master, executors and event log are the submitter's."""
    return {**_quiet(settings), **_catalog(settings), **settings.spark_conf}


def is_submitted(environment: Mapping[str, str] = os.environ) -> bool:
    """Whether spark-submit started this process, so that a JVM with a configured Spark waits for it."""
    return "PYSPARK_GATEWAY_PORT" in environment


def is_local(master: str) -> bool:
    """Whether everything runs in the driver's JVM."""
    return master.startswith("local")


def local_cores(master: str) -> int:
    """Cores of a local master: `local`, `local[4]`, `local[*]`."""
    inside = master.partition("[")[2].rstrip("]").split(",")[0]
    if inside == "*":
        return os.cpu_count() or 1
    return int(inside) if inside.isdigit() else 1


def _quiet(settings: Settings) -> dict[str, str]:
    return {
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        **redaction(),
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.ansi.enabled": "true",
        "spark.sql.warehouse.dir": (settings.root / "spark-warehouse").as_uri(),
        "spark.sql.extensions": _EXTENSIONS,
    }


def _local(settings: Settings, rows: int | None) -> dict[str, str]:
    cores = local_cores(settings.spark_master)
    small = rows is not None and rows <= SMALL_ROWS
    return {
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.memory": "1g" if small else f"{_large_memory_gigabytes()}g",
        "spark.sql.shuffle.partitions": str(cores if small else 16 * cores),
        "spark.default.parallelism": str(cores),
        "spark.sql.adaptive.enabled": "false" if small else "true",
        "spark.sql.codegen.wholeStage": "false" if small else "true",
        "spark.shuffle.compress": "false" if small else "true",
        "spark.sql.execution.arrow.maxRecordsPerBatch": "65536",
        # From 4.1 on, a union of parts of one partition each would be one partition, and use one core.
        "spark.sql.unionOutputPartitioning": "false",
        **_python_daemon(),
    }


def _python_daemon() -> dict[str, str]:
    """Ours, where Spark and its Python are those of this environment."""
    found = find_spec("pyspark")
    own = Path(found.origin).parent if found and found.origin else None
    same = os.environ.get("PYSPARK_PYTHON", sys.executable) == sys.executable
    if own is None or not same or Path(os.environ.get("SPARK_HOME", own)) != own:
        return {}
    return {"spark.python.daemon.module": "lakeloop.adapters.spark.python_daemon"}


def _large_memory_gigabytes() -> int:
    """A quarter of the machine's memory, 1 to 8 GB: Spark spills the rest."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return 1
    return max(1, min(8, total // 4 // 2**30))


def _remote(settings: Settings, jars: list[Path]) -> dict[str, str]:
    """Executors of the step's own image have the jars where the driver has them; others get them from the driver."""
    if is_kubernetes(settings.spark_master) and not settings.spark_executor_image:
        return {"spark.executor.extraClassPath": os.pathsep.join(map(str, jars))} if jars else {}
    return {"spark.jars": ",".join(map(str, jars))}


def _java_options(
    settings: Settings, jars: list[Path], rows: int | None, archive_to: Path | None
) -> list[str]:
    options = ["-XX:-UsePerfData", f"-Dlog4j2.configurationFile={_LOG_CONFIGURATION.as_uri()}"]
    options += ["-Duser.timezone=UTC", "-Djava.net.preferIPv4Stack=true"]
    if not is_local(settings.spark_master):
        return options
    small = rows is not None and rows <= SMALL_ROWS
    options += ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"] if small else ["-XX:+UseParallelGC"]
    return [*options, *class_archive.java_options(settings, jars, archive_to)]


def _catalog(settings: Settings) -> dict[str, str]:
    prefix = f"spark.sql.catalog.{settings.catalog_name}"
    declared: Mapping[str, str] = settings.spark_catalog or _embedded_catalog(settings)
    return {prefix: _CATALOG} | {f"{prefix}.{key}": value for key, value in declared.items()}


def _embedded_catalog(settings: Settings) -> dict[str, str]:
    """The SQLite file that pyiceberg's SqlCatalog uses, in the schema that both know."""
    settings.embedded_catalog_path.parent.mkdir(parents=True, exist_ok=True)
    return {
        "catalog-impl": "org.apache.iceberg.jdbc.JdbcCatalog",
        "uri": f"jdbc:sqlite:{settings.embedded_catalog_path}?busy_timeout=30000",
        "warehouse": settings.warehouse,
        "jdbc.schema-version": "V1",
        "cache-enabled": "false",
        "clients": "1",
    }


def _prepare_environment(settings: Settings) -> None:
    """What the start scripts of pip's pyspark read, for this process and its children; and quiet loggers."""
    import pyspark

    for name in _LOUD_LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL)
    os.environ["JAVA_HOME"] = str(java_home())
    os.environ.setdefault("SPARK_HOME", str(Path(pyspark.__file__).parent))
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)
    os.environ.setdefault("PYSPARK_DRIVER_PYTHON", sys.executable)
    if is_local(settings.spark_master):
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")
