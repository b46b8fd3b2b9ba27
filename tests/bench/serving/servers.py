"""The servers that are compared: how each starts, what it is asked, and where its scores stand in the answer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.bench.measured import ROOT
from tests.bench.serving.model import USE_CASE, BenchModel

HERE = Path(__file__).parent
UV = ROOT / ".tools/bin/uv"


@dataclass(frozen=True)
class Server:
    """One server to measure.

    `command` and `body` are made for (model, folder, port) and (model, rows); `scores` finds them in the answer.
    """

    name: str
    path: str
    command: Callable[[BenchModel, Path, int], list[str]]
    body: Callable[[BenchModel, slice], Any]
    scores: Callable[[Any], list[float]]
    environment: dict[str, str] = field(default_factory=dict)


def lakeloop(workers: int, *, log: str = "file", objects: bool = False) -> Server:
    """Raw rows: as lists of values, the form that kserve's plain server is asked in; or as objects by column."""

    def command(model: BenchModel, folder: Path, port: int) -> list[str]:
        logging = {
            "none": [],
            "file": ["--prediction-log", str(folder / "log")],
            "disk": ["--prediction-log", str(folder / "log"), "--log-to-disk"],
        }[log]
        options = [
            "--model-folder",
            str(model.folder),
            "--port",
            str(port),
            "--workers",
            str(workers),
            *logging,
        ]
        return [sys.executable, "-m", "lakeloop.serving.predictor", *options]

    told = {"none": ", no log", "file": "", "disk": ", log synced to disk"}[log]
    if objects:
        return Server(
            f"lakeloop{told}, rows as objects",
            "/predict",
            command,
            lambda m, s: {"rows": m.raw[s]},
            lambda answer: answer["scores"],
        )
    return Server(
        f"lakeloop{told}",
        f"/v1/models/{USE_CASE}:predict",
        command,
        lambda m, s: {"instances": [list(row.values()) for row in m.raw[s]]},
        lambda answer: answer["predictions"],
    )


def kserve(workers: int) -> Server:
    def command(model: BenchModel, folder: Path, port: int) -> list[str]:
        server = [str(_python("kserve")), str(HERE / "kserve_server.py"), str(model.folder / "booster.ubj")]
        return [*server, "--http_port", str(port), "--workers", str(workers)]

    return Server(
        "kserve SDK",
        "/v1/models/bench:predict",
        command,
        lambda m, s: {"instances": m.matrix[s].tolist()},
        lambda answer: answer["predictions"],
    )


def mlserver(workers: int) -> Server:
    def command(model: BenchModel, folder: Path, port: int) -> list[str]:
        settings = {"http_port": port, "grpc_port": port + 1, "metrics_port": port + 2, "host": "127.0.0.1"}
        parallel = {"parallel_workers": workers if workers > 1 else 0, "debug": False}
        _write(folder / "settings.json", {**settings, **parallel})
        parameters = {"uri": str(model.folder / "booster.ubj"), "version": "1"}
        implementation = "mlserver_xgboost.XGBoostModel"
        _write(
            folder / "model-settings.json",
            {"name": "bench", "implementation": implementation, "parameters": parameters},
        )
        return [str(_python("mlserver").with_name("mlserver")), "start", str(folder)]

    def body(model: BenchModel, rows: slice) -> Any:
        matrix = model.matrix[rows]
        data = [float(v) for v in matrix.ravel()]
        return {"inputs": [{"name": "x", "shape": list(matrix.shape), "datatype": "FP32", "data": data}]}

    return Server(
        "MLServer", "/v2/models/bench/infer", command, body, lambda answer: answer["outputs"][0]["data"]
    )


def mlflow(workers: int) -> Server:
    def command(model: BenchModel, folder: Path, port: int) -> list[str]:
        python = _python("mlflow")
        saved = folder / "mlflow"
        prepare = [str(python), str(HERE / "mlflow_model.py"), str(model.folder / "booster.ubj"), str(saved)]
        subprocess.run(prepare, check=True, capture_output=True, timeout=300)
        options = ["-m", str(saved), "--env-manager", "local", "-p", str(port), "-w", str(workers)]
        return [str(python.with_name("mlflow")), "models", "serve", *options]

    def body(model: BenchModel, rows: slice) -> Any:
        return {"dataframe_split": {"columns": model.encoding.names, "data": model.matrix[rows].tolist()}}

    return Server(
        "mlflow models serve",
        "/invocations",
        command,
        body,
        lambda answer: answer["predictions"],
        {"PATH": f"{_python('mlflow').parent}{os.pathsep}{os.environ['PATH']}"},
    )


def peers_folder() -> Path:
    """Throw-away environments of the peers; kept between runs."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "lakeloop" / "bench-serving"


def install_peers(tell: Callable[[str], None]) -> None:
    """Each peer in an environment of its own, from its lock file."""
    for lock in sorted((HERE / "requirements").glob("*.txt")):
        install_peer(lock.stem, tell)


def install_peer(peer: str, tell: Callable[[str], None]) -> Path:
    """The Python of one peer's environment; installed where its lock file has changed."""
    lock, folder = HERE / "requirements" / f"{peer}.txt", peers_folder() / peer
    done = folder / lock.name
    if done.exists() and done.read_bytes() == lock.read_bytes():
        return _python(peer)
    tell(f"installing {peer} into {folder}")
    subprocess.run([UV, "venv", "-q", "--clear", "--python", sys.executable, folder], check=True, timeout=300)
    environment = {**os.environ, "VIRTUAL_ENV": str(folder)}
    subprocess.run([UV, "pip", "install", "-q", "-r", lock], check=True, env=environment, timeout=1800)
    done.write_bytes(lock.read_bytes())
    return _python(peer)


def _python(peer: str) -> Path:
    return peers_folder() / peer / "bin/python"


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
