"""Runs in the kserve SDK's own environment: its plain model server around the booster, as its documentation shows.

`kserve_server.py BOOSTER --http_port PORT --workers N`; the SDK reads the options after the first.
"""

import sys
from typing import Any

import numpy as np
import xgboost
from kserve import Model, ModelServer


class Plain(Model):
    def __init__(self, name: str, path: str) -> None:
        super().__init__(name)
        self._path = path
        self.ready = self.load()

    def load(self) -> bool:
        self._booster = xgboost.Booster(model_file=self._path)
        self._booster.set_param({"nthread": 1})
        return True

    async def predict(self, payload: dict[str, Any], *_: Any, **__: Any) -> Any:
        matrix = np.array(payload["instances"], dtype=np.float32)
        return {"predictions": self._booster.inplace_predict(matrix).tolist()}


if __name__ == "__main__":
    path = sys.argv.pop(1)
    port = int(sys.argv[sys.argv.index("--http_port") + 1])
    ModelServer(enable_grpc=False, http_port=port).start([Plain("bench", path)])
