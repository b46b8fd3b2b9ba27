"""Spark's event log, kept for a history server: written to a local folder, put in its place when the session ends.

An object store shows an object when it is closed, not before, so a log written there directly would come no sooner; and
the driver needs no S3 connector for it.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

# Spark's own pattern, and more names of secrets; applied to properties in the log and to the text of plans.
REDACTED_KEYS = (
    r"(?i)secret|password|passwd|passphrase|token|access[.\-_]?key|account[.\-_]?key|api[.\-_]?key|credential"
)
REDACTED_TEXT = (
    r"(?i)(?<=(?:password|passwd|secret|token|access.?key)=)[^&\s,;\]]+|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"
)
_CHUNK_BYTES = 2**20


@contextmanager
def event_log(uri: str) -> Iterator[dict[str, str]]:
    """Properties that make Spark write its log; what it wrote is below `uri` after the block. Empty `uri`: no log."""
    if not uri:
        yield {"spark.eventLog.enabled": "false"}
        return
    with tempfile.TemporaryDirectory(prefix="spark-events-") as folder:
        try:
            yield {
                "spark.eventLog.enabled": "true",
                "spark.eventLog.rolling.enabled": "false",
                "spark.eventLog.dir": Path(folder).as_uri(),
            }
        finally:
            _keep(Path(folder), uri)


def redaction() -> dict[str, str]:
    """Properties that keep secrets out of logs, plans and the event log."""
    return {"spark.redaction.regex": REDACTED_KEYS, "spark.redaction.string.regex": REDACTED_TEXT}


def _keep(folder: Path, uri: str) -> None:
    """Copy the logs; that it cannot be done is told and changes nothing about the step's end."""
    try:
        filesystem, base = fs.FileSystem.from_uri(uri)
        if filesystem.type_name == "local":
            filesystem.create_dir(base)
        for path in sorted(p for p in folder.iterdir() if p.is_file() and not p.name.startswith(".")):
            target = f"{base.rstrip('/')}/{path.name.removesuffix('.inprogress')}"
            with path.open("rb") as source, filesystem.open_output_stream(target, compression=None) as sink:
                while chunk := source.read(_CHUNK_BYTES):
                    sink.write(chunk)
    except (OSError, pa.ArrowException) as error:
        print(f"warning: Spark's event log was not kept in {uri}: {error}", file=sys.stderr, flush=True)  # noqa: T201
