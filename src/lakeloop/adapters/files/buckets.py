"""Buckets of an object store."""

from __future__ import annotations

from urllib.parse import urlsplit

from lakeloop.domain.errors import LakeloopError


def bucket_of(uri: str) -> str | None:
    """Name of the bucket of an `s3://` URI; None for any other place."""
    parts = urlsplit(uri)
    return parts.netloc if parts.scheme == "s3" and parts.netloc else None


def ensure_bucket(name: str) -> bool:
    """Make the bucket unless it is there; the environment's AWS_* variables say where and as whom.

    Returns:
        Whether it was made now.

    Raises:
        LakeloopError: the store does not answer, or refuses.
    """
    from pyarrow import fs

    try:
        store, path = fs.FileSystem.from_uri(f"s3://{name}?allow_bucket_creation=true")
        if store.get_file_info(path).type == fs.FileType.Directory:
            return False
        store.create_dir(path)
    except OSError as error:
        raise LakeloopError(
            f"the bucket cannot be made: {error}",
            where=f"s3://{name}",
            fix="see AWS_ENDPOINT_URL, AWS_REGION and the credentials, or have it made by its owner",
        ) from error
    return True
