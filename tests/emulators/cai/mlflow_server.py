"""The MLflow server of a workbench's age (2.19), really run: in an environment of its own, made once by name."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx

from lakeloop.adapters.local.process import wait_until

VERSION = "2.19.0"
# That version asks for no upper bounds, and does not start with these packages' later versions.
PACKAGES = (f"mlflow=={VERSION}", "setuptools<81", "sqlalchemy<2.1")
INSTALL_SECONDS, START_SECONDS = 600, 180
_UV = Path(__file__).resolve().parents[3] / ".tools" / "bin" / "uv"


def environment() -> Path:
    """Folder of the virtual environment; installed on first use, without network after that.

    Raises:
        RuntimeError: the packages cannot be installed.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lakeloop" / "mlflow-server"
    name = f"{VERSION}-{sys.version_info.major}{sys.version_info.minor}"
    if not (root / name / "bin" / "mlflow").exists():
        root.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=root) as scratch:
            folder = Path(scratch) / name
            _uv("venv", "--python", sys.executable, "--relocatable", str(folder))
            _uv("pip", "install", "--python", str(folder / "bin" / "python"), *PACKAGES)
            folder.rename(root / name)
    return root / name


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [str(_UV), *arguments], capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
    )
    if done.returncode:
        raise RuntimeError(f"uv {arguments[0]}: {done.stderr[-2000:]}")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """The server on a free port of the loopback interface, artifacts through it; its URL."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [str(environment() / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(port)]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'server.db'}", "--workers", "1"]
    command += ["--artifacts-destination", (folder / "artifacts").as_uri(), "--serve-artifacts"]
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("MLFLOW_", "PYTHONPATH"))}
    with (folder / "server.log").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=kept, cwd=folder, start_new_session=True
        )
    try:
        if (
            not wait_until(lambda: process.poll() is not None or _answers(url), START_SECONDS)
            or process.poll()
        ):
            raise RuntimeError(
                f"the MLflow server did not start: {(folder / 'server.log').read_text()[-2000:]}"
            )
        yield url
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, 15)
        process.wait(30)


def _answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/health", timeout=5, trust_env=False).is_success
    except httpx.TransportError:
        return False
