"""Images of this machine's Docker into the nodes of a kind cluster: only layers that a node does not have yet.

`kind load docker-image` sends whole images, gigabytes for a changed line of code. An OCI archive (image-layout 1.0)
need not repeat what the content store of containerd holds already.
"""

import hashlib
import io
import json
import subprocess
import tarfile
import tempfile
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from lakeloop.domain.errors import LakeloopError
from scripts.cluster.programs import Programs

LOAD_TIMEOUT_SECONDS: Final = 900
_CTR: Final = ("ctr", "--namespace=k8s.io")
_LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
_CONFIG: Final = "application/vnd.oci.image.config.v1+json"
_MANIFEST: Final = "application/vnd.oci.image.manifest.v1+json"
Tell = Callable[[str], None]


def load(programs: Programs, cluster: str, images: Sequence[str], tell: Tell) -> list[str]:
    """Make the nodes' images those of this machine.

    Returns:
        The images that some node did not have.

    Raises:
        LakeloopError: an image is not here, or a node does not take it.
    """
    changed: list[str] = []
    nodes = programs.call("kind", "get", "nodes", "--name", cluster).split()
    if not nodes:
        raise LakeloopError("the cluster has no nodes", where=f"kind cluster {cluster}", fix="make kind-up")
    for node in nodes:
        absent = [
            image for image in images if _held(programs, node, image) != _config_digest(programs, image)
        ]
        if absent:
            tell(f"loading into {node}: {', '.join(absent)}")
            _load(programs, node, absent)
            changed += absent
    return sorted(set(changed))


def node_name(image: str) -> str:
    """The full name of an image on a node: a bare name is Docker Hub's."""
    first, slash, _ = image.partition("/")
    if not slash:
        return f"docker.io/library/{image}"
    return image if "." in first or ":" in first else f"docker.io/{image}"


def _config_digest(programs: Programs, image: str) -> str:
    return programs.call("docker", "image", "inspect", "--format", "{{.Id}}", image).strip()


def _held(programs: Programs, node: str, image: str) -> str:
    """Digest of the configuration of the image that a node has under this name; empty where there is none."""
    listed = programs.call("docker", "exec", node, *_CTR, "images", "ls", f"name=={node_name(image)}")
    digests = [word for word in listed.split() if word.startswith("sha256:")]
    if not digests:
        return ""
    try:
        manifest = json.loads(programs.call("docker", "exec", node, *_CTR, "content", "get", digests[0]))
    except LakeloopError:
        return ""  # its manifest is gone: load it again
    return str((manifest.get("config") or {}).get("digest", ""))


def _load(programs: Programs, node: str, images: Sequence[str]) -> None:
    """All at once, so that what they share is read and sent once."""
    present = set(programs.call("docker", "exec", node, *_CTR, "content", "ls", "--quiet").split())
    with tempfile.TemporaryDirectory(prefix="lakeloop-load-") as scratch:
        saved = Path(scratch, "saved.tar")
        programs.call("docker", "save", "--output", str(saved), *images, seconds=LOAD_TIMEOUT_SECONDS)
        with tarfile.open(saved) as source:
            _import(programs, node, lambda target: write_archive(source, target, present))


def write_archive(source: tarfile.TarFile, target: tarfile.TarFile, present: set[str]) -> None:
    """Turn the archive of `docker save` into an OCI archive without the layers in `present`.

    Raises:
        LakeloopError: it holds another thing than images of uncompressed layers.
    """
    sent = set(present)
    manifests: list[dict[str, Any]] = []
    for entry in json.loads(_read(source, "manifest.json")):
        manifest = _write_image(source, target, entry, sent)
        names = [{"io.containerd.image.name": node_name(tag)} for tag in entry["RepoTags"]]
        manifests += [manifest | {"annotations": name} for name in names]
    _write(target, "index.json", json.dumps({"schemaVersion": 2, "manifests": manifests}).encode())
    _write(target, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def _write_image(
    source: tarfile.TarFile, target: tarfile.TarFile, entry: dict[str, Any], sent: set[str]
) -> dict[str, Any]:
    """Its layers that were not sent yet, configuration and manifest; the manifest's descriptor."""
    config = _read(source, entry["Config"])
    diff_ids = json.loads(config)["rootfs"]["diff_ids"]
    layers = [
        _descriptor(_LAYER, i, _size(source, p)) for i, p in zip(diff_ids, entry["Layers"], strict=True)
    ]
    for descriptor, path in zip(layers, entry["Layers"], strict=True):
        if descriptor["digest"] not in sent:
            _copy_layer(source, target, path, descriptor)
            sent.add(descriptor["digest"])
    manifest = {
        "schemaVersion": 2,
        "mediaType": _MANIFEST,
        "config": _descriptor(_CONFIG, _digest(config), len(config)),
        "layers": layers,
    }
    text = json.dumps(manifest).encode()
    for content in (config, text):
        if _digest(content) not in sent:
            _write(target, _blob(_digest(content)), content)
            sent.add(_digest(content))
    return _descriptor(_MANIFEST, _digest(text), len(text))


def _copy_layer(
    source: tarfile.TarFile, target: tarfile.TarFile, path: str, descriptor: dict[str, Any]
) -> None:
    member = _member(source, path)
    stream = source.extractfile(member)
    if stream is None:
        raise LakeloopError("a layer is no file", where=path, fix="use kind load docker-image")
    digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if f"sha256:{digest}" != descriptor["digest"]:
        raise LakeloopError(
            "a layer is compressed: this Docker keeps images in another form",
            where=path,
            fix="use kind load docker-image",
        )
    stream.seek(0)
    info = tarfile.TarInfo(_blob(descriptor["digest"]))
    info.size = member.size
    target.addfile(info, stream)


def _import(programs: Programs, node: str, write: Callable[[tarfile.TarFile], None]) -> None:
    """Let the node take what is written, while it is written.

    Raises:
        LakeloopError: it does not take it, or not within the limit.
    """
    command = [programs.path("docker"), "exec", "--interactive", node, *_CTR]
    words = ["images", "import", "--snapshotter=overlayfs", "-"]
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [*command, *words], stdin=subprocess.PIPE, env=programs.full_environment, stdout=said, stderr=said
        ) as process,
    ):
        limit = threading.Timer(LOAD_TIMEOUT_SECONDS, process.kill)
        limit.start()
        try:
            with suppress(BrokenPipeError), tarfile.open(fileobj=process.stdin, mode="w|") as target:
                write(target)
            with suppress(BrokenPipeError):
                process.stdin.close()  # type: ignore[union-attr] - it is a pipe
            process.wait()
        finally:
            process.kill()
            limit.cancel()
        if process.returncode:
            said.seek(0)
            raise LakeloopError(
                said.read().decode(errors="replace").strip()[-600:]
                or f"no end after {LOAD_TIMEOUT_SECONDS} s",
                where=f"image import into {node}",
                fix="see that the node has disk space",
            )


def _member(archive: tarfile.TarFile, path: str) -> tarfile.TarInfo:
    member = archive.getmember(path)
    if not member.issym():
        return member
    # The classic format names a layer that several images share once, and links to it.
    parts = (Path(path).parent / member.linkname).parts
    resolved: list[str] = []
    for part in parts:
        if part == "..":
            resolved.pop()
        else:
            resolved.append(part)
    return archive.getmember("/".join(resolved))


def _size(archive: tarfile.TarFile, path: str) -> int:
    return _member(archive, path).size


def _read(archive: tarfile.TarFile, path: str) -> bytes:
    stream = archive.extractfile(path)
    if stream is None:
        raise LakeloopError(f"{path} is missing", where="docker save")
    return stream.read()


def _write(archive: tarfile.TarFile, path: str, content: bytes) -> None:
    info = tarfile.TarInfo(path)
    info.size = len(content)
    archive.addfile(info, io.BytesIO(content))


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest, "size": size}


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"
