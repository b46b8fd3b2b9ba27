"""What an endpoint keeps on disk: model folders by content, routes, port, and the lock of its rollouts."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

from pydantic import ValidationError

from lakeloop.adapters.local.process import ServerProcess, wait_until
from lakeloop.domain.errors import ConflictError, LakeloopError
from lakeloop.domain.model_files import IDENTITY_FILE, MODEL_FILES, model_digest
from lakeloop.domain.rollout import Candidate, Identity
from lakeloop.domain.routes import Routes

LOCK_SECONDS = 120.0


class EndpointFolder:
    """`models/HANDLE/`, `servers/HANDLE.*`, `gateway.*`, `shipper.*`, the prediction log, routes and port."""

    def __init__(self, root: Path, endpoint: str) -> None:
        self.endpoint, self.root = endpoint, root / endpoint
        self.routes_file = self.root / "routes.json"
        self.gateway = ServerProcess(self.root, "gateway")
        self.shipper = ServerProcess(self.root, "shipper")
        self.prediction_log = self.root / "prediction-log"

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """One rollout at a time.

        Raises:
            ConflictError: another one holds the endpoint for too long.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / "rollout.lock").open("ab") as file:
            if not wait_until(lambda: _try_lock(file.fileno()), LOCK_SECONDS):
                raise ConflictError(
                    f"another rollout has been changing it for {LOCK_SECONDS:g} s",
                    where=f"endpoint {self.endpoint}",
                    fix="wait for it, then run again",
                )
            yield

    def server(self, handle: str) -> ServerProcess:
        """The server of a model folder."""
        return ServerProcess(self.root / "servers", handle)

    def servers(self) -> list[ServerProcess]:
        """All servers that were ever started and not forgotten."""
        locks = sorted((self.root / "servers").glob("*.lock"))
        return [self.server(lock.stem) for lock in locks]

    def model_folder(self, handle: str) -> Path:
        """Where a handle's model lies."""
        return self.root / "models" / handle

    def identity(self, handle: str) -> Identity:
        """Of a kept model.

        Raises:
            LakeloopError: the folder is gone or unreadable.
        """
        path = self.model_folder(handle) / IDENTITY_FILE
        try:
            return Identity.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            raise LakeloopError(
                f"a kept model cannot be read: {error}", where=str(path), fix="deploy again"
            ) from error

    def keep_model(self, candidate: Candidate) -> str:
        """Copy a candidate's model, unless it is here; its handle.

        Raises:
            LakeloopError: the model's bytes are not those that its identity names.
        """
        handle = candidate.identity.digest()[:20]
        kept = self.model_folder(handle)
        if _digest(kept) != candidate.identity.model_digest:
            _check_source(candidate)
            temporary = kept.with_name(f".{handle}.{os.getpid()}")
            shutil.rmtree(temporary, ignore_errors=True)
            temporary.mkdir(parents=True)
            for name in MODEL_FILES:
                shutil.copyfile(Path(candidate.model_folder) / name, temporary / name)
            (temporary / IDENTITY_FILE).write_text(
                candidate.identity.model_dump_json(indent=2), encoding="utf-8"
            )
            shutil.rmtree(kept, ignore_errors=True)
            temporary.rename(kept)
        return handle

    def forget_all_but(self, handles: Collection[str]) -> None:
        """Remove other models, and other servers' files; the servers have ended."""
        for server in self.servers():
            if server.name not in handles:
                server.remove_files()
        for folder in (self.root / "models").iterdir():
            if folder.name not in handles:
                shutil.rmtree(folder)

    def routes(self) -> Routes:
        """As last written; empty before the first rollout.

        Raises:
            LakeloopError: the file is damaged.
        """
        try:
            return Routes.model_validate_json(self.routes_file.read_bytes())
        except FileNotFoundError:
            return Routes()
        except ValidationError as error:
            raise LakeloopError(
                f"damaged: {error}", where=str(self.routes_file), fix="remove it and deploy again"
            ) from error

    def write_routes(self, routes: Routes) -> None:
        """Replace the routes atomically; the gateway sees them with its next request."""
        _replace(self.routes_file, routes.model_dump_json(indent=2))

    def stable_port(self) -> int:
        """The port picked at first; 0 before."""
        try:
            return int(json.loads((self.root / "endpoint.json").read_bytes())["port"])
        except FileNotFoundError:
            return 0

    def remember_port(self, port: int) -> None:
        """Keep the stable port."""
        _replace(self.root / "endpoint.json", json.dumps({"port": port}))


def _check_source(candidate: Candidate) -> None:
    digest = _digest(Path(candidate.model_folder))
    if digest != candidate.identity.model_digest:
        raise LakeloopError(
            f"the model's bytes have digest {digest}, but version {candidate.identity.version} "
            f"was registered with {candidate.identity.model_digest}",
            where=candidate.model_folder,
            fix="download the registered version again",
        )


def _digest(folder: Path) -> str | None:
    try:
        return model_digest({name: (folder / name).read_bytes() for name in MODEL_FILES})
    except OSError:
        return None


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
