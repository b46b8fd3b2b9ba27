"""Images into nodes: the archive names what the node has, and carries only what it has not."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.loading import node_name, write_archive

TAGS = ("lakeloop/spark:0.1.0", "lakeloop/distributed:0.1.0")
BASE, CODE = b"base layer", b"code layer"


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def saved(path: Path, *, link: bool = False, damaged: bool = False) -> None:
    """What `docker save` of an image with two layers writes."""
    config = json.dumps({"rootfs": {"type": "layers", "diff_ids": [digest(BASE), digest(CODE)]}}).encode()
    layers = ["one/layer.tar", "two/layer.tar"]
    manifest = [{"Config": "config.json", "RepoTags": list(TAGS), "Layers": layers}]
    with tarfile.open(path, "w") as archive:
        add(archive, "config.json", config)
        if link:
            add(archive, "three/layer.tar", BASE)
            info = tarfile.TarInfo("one/layer.tar")
            info.type, info.linkname = tarfile.SYMTYPE, "../three/layer.tar"
            archive.addfile(info)
        else:
            add(archive, "one/layer.tar", BASE)
        add(archive, "two/layer.tar", b"compressed" if damaged else CODE)
        add(archive, "manifest.json", json.dumps(manifest).encode())


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def written(tmp_path: Path, present: set[str], **options: bool) -> dict[str, bytes]:
    saved(tmp_path / "saved.tar", **options)
    with tarfile.open(tmp_path / "saved.tar") as source, tarfile.open(tmp_path / "oci.tar", "w") as target:
        write_archive(source, target, present)
    with tarfile.open(tmp_path / "oci.tar") as archive:
        return {m.name: archive.extractfile(m).read() for m in archive.getmembers()}  # type: ignore[union-attr]


def blob(files: dict[str, bytes], of: str) -> bytes:
    return files[f"blobs/{of.replace(':', '/')}"]


def manifest_of(files: dict[str, bytes]) -> dict[str, Any]:
    entry, second = json.loads(files["index.json"])["manifests"]
    names = [one["annotations"]["io.containerd.image.name"] for one in (entry, second)]
    assert names == [f"docker.io/{tag}" for tag in TAGS]
    assert entry["digest"] == second["digest"], "one image under two names"
    text = blob(files, entry["digest"])
    assert digest(text) == entry["digest"]
    found: dict[str, Any] = json.loads(text)
    return found


@pytest.mark.parametrize("link", [False, True])
def test_an_empty_node_gets_every_layer(tmp_path: Path, link: bool) -> None:
    files = written(tmp_path, set(), link=link)
    layers = manifest_of(files)["layers"]
    assert [layer["digest"] for layer in layers] == [digest(BASE), digest(CODE)]
    assert [blob(files, layer["digest"]) for layer in layers] == [BASE, CODE]


def test_layers_that_the_node_has_are_named_and_not_sent(tmp_path: Path) -> None:
    files = written(tmp_path, {digest(BASE)})
    layers = manifest_of(files)["layers"]
    assert [layer["digest"] for layer in layers] == [digest(BASE), digest(CODE)]
    assert layers[0]["size"] == len(BASE)
    assert f"blobs/{digest(BASE).replace(':', '/')}" not in files
    assert blob(files, digest(CODE)) == CODE


def test_the_configuration_travels_unchanged(tmp_path: Path) -> None:
    files = written(tmp_path, set())
    config = manifest_of(files)["config"]
    assert json.loads(blob(files, config["digest"]))["rootfs"]["diff_ids"] == [digest(BASE), digest(CODE)]


def test_a_layer_that_is_not_what_the_image_says_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LakeloopError, match="use kind load docker-image"):
        written(tmp_path, set(), damaged=True)


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("postgres:15-bookworm", "docker.io/library/postgres:15-bookworm"),
        ("lakeloop/train:0.1.0", "docker.io/lakeloop/train:0.1.0"),
        ("registry.example.com/lakeloop/train:1", "registry.example.com/lakeloop/train:1"),
        ("localhost:5000/train:1", "localhost:5000/train:1"),
    ],
)
def test_names_on_a_node(image: str, full: str) -> None:
    assert node_name(image) == full
