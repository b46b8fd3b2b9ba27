"""A deployed model: the image of its build, loaded, answering one request at a time.

An image is a folder. Of a build of project files, its `model.json` names script and function. Else it is answered for
as the platform does for a registered model: by MLflow's scoring-server forms (`dataframe_split`, `inputs`) over the
loader that its `MLmodel` names.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

Predict = Callable[[dict[str, Any]], Any]
REPLY_MARK = "@@reply "


def load(image: Path) -> Predict:
    """The function that answers requests of this image."""
    return _script(image) if (image / "model.json").exists() else _registered(image)


def _script(image: Path) -> Predict:
    build = json.loads((image / "model.json").read_text(encoding="utf-8"))
    path = image / build["file_path"]
    spec = importlib.util.spec_from_file_location(f"cai_model_{uuid.uuid4().hex}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is no Python script")
    module = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(path.parent))
    function: Predict = getattr(module, build["function_name"])
    return function


def _registered(image: Path) -> Predict:
    flavor = yaml.safe_load((image / "MLmodel").read_text(encoding="utf-8"))["flavors"]["python_function"]
    code = image / flavor.get("code", "code")
    if code.is_dir():
        sys.path.insert(0, str(code))
    data = image / flavor["data"] if flavor.get("data") else image
    model = importlib.import_module(flavor["loader_module"])._load_pyfunc(str(data))

    def predict(request: dict[str, Any]) -> Any:
        import pandas as pd

        if "dataframe_split" in request:
            split = request["dataframe_split"]
            frame = pd.DataFrame(data=split["data"], columns=split["columns"])
        elif "inputs" in request:
            frame = request["inputs"]
        else:
            raise ValueError("the request must have one of dataframe_split, inputs")
        return {"predictions": model.predict(frame)}

    return predict


class InProcess:
    """The image in a thread of the emulator: quick to start, its environment is the emulator's."""

    def __init__(self, image: Path, _environment: dict[str, str]) -> None:
        self._image = image
        self._predict: Predict | None = None
        self.error = ""

    def start(self) -> None:
        """Load it; a failure is told in `error`."""
        try:
            self._predict = load(self._image)
        except Exception as error:  # noqa: BLE001 - whatever a model's code raises is its deployment's failure
            self.error = f"{type(error).__name__}: {error}"

    @property
    def ready(self) -> bool:
        """Whether it answers."""
        return self._predict is not None

    def ask(self, request: dict[str, Any]) -> Any:
        """One request."""
        if self._predict is None:
            raise RuntimeError("the replica is gone")
        return json.loads(json.dumps(self._predict(request)))

    def stop(self) -> None:
        """Forget it."""
        self._predict = None


class OwnProcess:
    """The image in a process of its own, with the deployment's environment."""

    def __init__(self, image: Path, environment: dict[str, str]) -> None:
        self._image, self._environment = image, environment
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self.error, self.ready = "", False

    def start(self) -> None:
        """Start it and wait until it has loaded the model."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.emulators.cai.worker", str(self._image)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, **self._environment},
        )
        first = self._reply()
        self.error, self.ready = first.get("error", ""), first.get("ready", False)

    def ask(self, request: dict[str, Any]) -> Any:
        """One request."""
        with self._lock:
            if self._process is None or self._process.stdin is None:
                raise RuntimeError("the replica is gone")
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()
            reply = self._reply()
        if "error" in reply:
            raise RuntimeError(reply["error"])
        return reply["response"]

    def stop(self) -> None:
        """End it."""
        self.ready = False
        process, self._process = self._process, None
        if process is not None and process.stdin is not None:
            process.stdin.close()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()

    def _reply(self) -> dict[str, Any]:
        if self._process is None or self._process.stdout is None:
            return {"error": "the replica is gone"}
        for line in self._process.stdout:
            if line.startswith(REPLY_MARK):
                reply: dict[str, Any] = json.loads(line.removeprefix(REPLY_MARK))
                return reply
        return {"error": "the replica's process ended"}


def main() -> None:
    """Load the image, then answer a request a line."""
    try:
        predict = load(Path(sys.argv[1]))
    except Exception as error:  # noqa: BLE001 - see InProcess.start
        _say({"error": f"{type(error).__name__}: {error}"})
        return
    _say({"ready": True})
    for line in sys.stdin:
        try:
            _say({"response": predict(json.loads(line))})
        except Exception as error:  # noqa: BLE001 - the model service answers it as the model's failure
            _say({"error": f"{type(error).__name__}: {error}"})


def _say(reply: dict[str, Any]) -> None:
    print(REPLY_MARK + json.dumps(reply), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
