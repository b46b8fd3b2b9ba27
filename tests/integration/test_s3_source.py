"""Batches from an S3 bucket, by a real client against a local S3 server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lakeloop.adapters.files.sources import ArrowSourceFolder
from lakeloop.domain.batch import Batch
from lakeloop.domain.errors import UserError
from lakeloop.domain.source_files import SourceFile
from tests.integration.landing import HEADER, Landing, rows

pytestmark = pytest.mark.spark


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str, str], None]]:
    """Puts an object; the environment names the server as a user's would."""
    from moto.server import ThreadedMotoServer
    from pyarrow import fs

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://{host}:{port}",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    s3 = fs.S3FileSystem(endpoint_override=f"{host}:{port}", scheme="http", allow_bucket_creation=True)
    s3.create_dir("landing")

    def put(key: str, text: str) -> None:
        with s3.open_output_stream(f"landing/{key}") as stream:
            stream.write(text.encode())

    yield put
    server.stop()


def found(pattern: str, folder: ArrowSourceFolder) -> tuple[SourceFile, ...]:
    return tuple(
        file.model_copy(update={"sha256": folder.sha256(file)})
        for file in folder.find(f"s3://landing/{pattern}")
    )


def test_a_glob_of_objects_lands_as_a_batch(
    bucket: Callable[[str, str], None], spark_lake: object, fresh_namespace: Callable[[], str], tmp_path: Path
) -> None:
    landing = Landing(spark_lake, fresh_namespace(), tmp_path)
    bucket("in/a.csv", "\n".join([HEADER, *rows(0, 30)]) + "\n")
    bucket("in/b.csv", "\n".join([HEADER, *rows(30, 30)]) + "\n")
    bucket("in/notes.txt", "not a batch\n")
    folder = ArrowSourceFolder(landing.spark_lake.settings)
    files = found("in/*.csv", folder)
    assert [file.name for file in files] == ["a.csv", "b.csv"]
    batch = Batch(
        kind="files",
        batch_id="s3",
        number=1,
        files=tuple(f.uri for f in files),
        format="csv",
        source_files=files,
    )
    result = landing.publish(batch)
    assert (result.outcome, result.rows) == ("published", 60)
    assert not (landing.spark_lake.settings.root / "fetched" / "s3").exists(), "the fetched copies are gone"

    bucket("in/a.csv", "\n".join([HEADER, *rows(500, 30)]) + "\n")
    with pytest.raises(UserError, match="changed after the batch was fixed"):
        landing.publish(batch.model_copy(update={"batch_id": "s3-again"}))
    with pytest.raises(UserError, match="no file matches"):
        folder.find("s3://landing/out/*.csv")
